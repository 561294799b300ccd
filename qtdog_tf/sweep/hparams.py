"""Random hyperparameters by DomainBed's distributions, and those of two papers that searched less.

Draw 0 is the default. Each value of draw h has a generator of its own, seeded by a hash of h and
DomainBed's name of the hyperparameter: one value does not move the others. The seed of the
trial is hashed into h, so each trial searches anew (method, section 11), unless it is left out.

What DomainBed also draws and this project does not have: the hyperparameters of its other methods,
and constants of every run (augmentation, class balance, kind of ResNet). SAM and SAGM are not in
DomainBed: theirs are of the code of SWAD and of SAGM. Methods not named below have none.

Start with `draw_hparams`.
"""

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qtdog_tf.algorithms.settings import ALGORITHMS
from qtdog_tf.errors import UserError

Value = float | int
Draw = Callable[[np.random.RandomState], Value]
SEARCHES = ("domainbed", "eoa", "swad")
SMALL_IMAGES = ("colored_mnist", "rotated_fashion_mnist", "rotated_mnist")
# SWAD: every combination (method, sections 9 and 11).
SWAD_GRID = tuple(itertools.product((1e-5, 3e-5, 5e-5), (0.0, 0.1, 0.5), (1e-4, 1e-6)))


@dataclass(frozen=True)
class Hyperparameter:
    """How one hyperparameter is drawn.

    Attributes:
        flag: its name here.
        name: its name in DomainBed, from which its generator is seeded.
        default: its value in draw 0.
        draw: from a generator to a value.
    """

    flag: str
    name: str
    default: Value
    draw: Draw

    def value(self, seed: int) -> Value:
        """The value of the draw with this seed."""
        return self.draw(np.random.RandomState(seed_hash(seed, self.name)))


def seed_hash(*parts: int | str) -> int:
    """DomainBed's seed of anything: the MD5 of the tuple's text, modulo 2^31."""
    digest = hashlib.md5(str(parts).encode(), usedforsecurity=False).hexdigest()
    return int(digest, 16) % 2**31


def _uniform(low: float, high: float) -> Draw:
    return lambda random: float(random.uniform(low, high))


def _power(base: int, low: float, high: float) -> Draw:
    """base^U(low, high)."""
    return lambda random: float(base ** random.uniform(low, high))


def _whole(draw: Draw) -> Draw:
    """The integer part."""
    return lambda random: int(draw(random))


def _one_of(*values: Value) -> Draw:
    return lambda random: values[random.choice(len(values))]


def _always(value: Value) -> Draw:
    return lambda random: value


ALGORITHM_HPARAMS: dict[str, tuple[Hyperparameter, ...]] = {
    "coral": (Hyperparameter("coral_gamma", "mmd_gamma", 1.0, _power(10, -1, 1)),),
    "fish": (Hyperparameter("fish_meta_lr", "meta_lr", 0.5, _one_of(0.05, 0.1, 0.5)),),
    "fishr": (
        Hyperparameter("fishr_lambda", "lambda", 1000.0, _power(10, 1, 4)),
        Hyperparameter(
            "fishr_anneal_steps", "penalty_anneal_iters", 1500, _whole(_uniform(0, 5000))
        ),
        Hyperparameter("fishr_ema", "ema", 0.95, _uniform(0.90, 0.99)),
    ),
    "groupdro": (Hyperparameter("groupdro_eta", "groupdro_eta", 1e-2, _power(10, -3, -1)),),
    "irm": (
        Hyperparameter("irm_lambda", "irm_lambda", 100.0, _power(10, -1, 5)),
        Hyperparameter(
            "irm_anneal_steps", "irm_penalty_anneal_iters", 500, _whole(_power(10, 0, 4))
        ),
    ),
    "mixup": (Hyperparameter("mixup_alpha", "mixup_alpha", 0.2, _power(10, -1, 1)),),
    "mldg": (
        Hyperparameter("mldg_beta", "mldg_beta", 1.0, _power(10, -1, 1)),
        Hyperparameter("mldg_test_domains", "n_meta_test", 2, _one_of(1, 2)),
    ),
    "mmd": (Hyperparameter("mmd_gamma", "mmd_gamma", 1.0, _power(10, -1, 1)),),
    "rsc": (
        Hyperparameter("rsc_feature_drop", "rsc_f_drop_factor", 1 / 3, _uniform(0, 0.5)),
        Hyperparameter("rsc_batch_drop", "rsc_b_drop_factor", 1 / 3, _uniform(0, 0.5)),
    ),
    "sagm": (
        Hyperparameter("sagm_rho", "rho", 0.05, _one_of(0.01, 0.02, 0.05, 0.1)),
        Hyperparameter("sagm_alpha", "alpha", 1e-3, _one_of(0.01, 0.02, 0.05, 0.1)),
    ),
    "sagnet": (Hyperparameter("sagnet_adversarial_weight", "sag_w_adv", 0.1, _power(10, -2, 1)),),
    "sam": (Hyperparameter("sam_rho", "rho", 0.05, _one_of(0.01, 0.02, 0.05, 0.1)),),
    "vrex": (
        Hyperparameter("vrex_lambda", "vrex_lambda", 10.0, _power(10, -1, 5)),
        Hyperparameter(
            "vrex_anneal_steps", "vrex_penalty_anneal_iters", 500, _whole(_power(10, 0, 4))
        ),
    ),
}


def draw_hparams(
    algorithm: str,
    data_set: str,
    hparams_seed: int,
    trial_seed: int | None = None,
    *,
    search: str = "domainbed",
) -> dict[str, Value]:
    """Draws the hyperparameters of a run.

    Args:
        algorithm: the training method, one of `ALGORITHMS`.
        data_set: name in the catalogue ("pacs"); any other is drawn for as photographs are.
        hparams_seed: h, the draw; 0: the defaults.
        trial_seed: draw anew for each trial, as DomainBed does. Default: the same in all of them.
        search: "domainbed"; "eoa": learning rate and batch stay, weight decay is lower; "swad":
            a grid of 18, of which draw h is the h-th.

    Returns:
        By flag of `tools/train.py`: learning_rate, weight_decay, images_per_domain, dropout, and
        those of the method.

    Raises:
        UserError: for an unknown method or search, one that leaves out this data set, a negative
            seed, or a draw behind the grid.
    """
    if algorithm not in ALGORITHMS or search not in SEARCHES:
        raise UserError(
            f"no hyperparameters of algorithm {algorithm!r} by search {search!r}: choose from "
            f"{', '.join(ALGORITHMS)} and from {', '.join(SEARCHES)}"
        )
    if search != "domainbed" and data_set in SMALL_IMAGES:
        raise UserError(f"search {search!r} has no hyperparameters for {data_set}: use domainbed")
    if hparams_seed < 0 or (trial_seed or 0) < 0:
        raise UserError(f"seeds must be at least 0; received {hparams_seed} and {trial_seed}")
    hparams = (
        *common_hparams(data_set, search),
        *ALGORITHM_HPARAMS.get(algorithm, ()),
    )
    if hparams_seed == 0:
        return {hparam.flag: hparam.default for hparam in hparams}
    seed = hparams_seed if trial_seed is None else seed_hash(hparams_seed, trial_seed)
    values = {hparam.flag: hparam.value(seed) for hparam in hparams}
    if search == "swad":
        if hparams_seed > len(SWAD_GRID):
            raise UserError(f"SWAD's grid has {len(SWAD_GRID)} draws; there is no {hparams_seed}")
        names = ("learning_rate", "dropout", "weight_decay")
        values |= dict(zip(names, SWAD_GRID[hparams_seed - 1], strict=True))
    return values


def common_hparams(data_set: str, search: str = "domainbed") -> tuple[Hyperparameter, ...]:
    """The distributions of what every method has.

    Args:
        data_set: as `draw_hparams` takes it.
        search: as `draw_hparams` takes it.
    """
    if data_set in SMALL_IMAGES:
        return (
            Hyperparameter("learning_rate", "lr", 1e-3, _power(10, -4.5, -2.5)),
            Hyperparameter("weight_decay", "weight_decay", 0.0, _always(0.0)),
            Hyperparameter("images_per_domain", "batch_size", 64, _whole(_power(2, 3, 9))),
            # DomainBed draws it for these sets too, and their network has no place for it.
            Hyperparameter("dropout", "resnet_dropout", 0.0, _always(0.0)),
        )
    dropout = Hyperparameter("dropout", "resnet_dropout", 0.0, _one_of(0.0, 0.1, 0.5))
    if search != "domainbed":
        return (
            Hyperparameter("learning_rate", "lr", 5e-5, _always(5e-5)),
            Hyperparameter("weight_decay", "weight_decay", 0.0, _power(10, -6, -4)),
            Hyperparameter("images_per_domain", "batch_size", 32, _always(32)),
            dropout,
        )
    most = 5 if data_set == "domain_net" else 5.5
    return (
        Hyperparameter("learning_rate", "lr", 5e-5, _power(10, -5, -3.5)),
        Hyperparameter("weight_decay", "weight_decay", 0.0, _power(10, -6, -2)),
        Hyperparameter("images_per_domain", "batch_size", 32, _whole(_power(2, 3, most))),
        dropout,
    )
