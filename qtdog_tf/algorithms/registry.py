"""From settings to the algorithm: `build_algorithm`."""

from collections.abc import Callable

import keras

from qtdog_tf.algorithms.base import Algorithm
from qtdog_tf.algorithms.coral import CORAL
from qtdog_tf.algorithms.distill import Distill
from qtdog_tf.algorithms.erm import ERM
from qtdog_tf.algorithms.fish import Fish
from qtdog_tf.algorithms.fishr import Fishr
from qtdog_tf.algorithms.group_dro import GroupDRO
from qtdog_tf.algorithms.irm import IRM
from qtdog_tf.algorithms.mixstyle import MixStyleERM
from qtdog_tf.algorithms.mixstyle_places import insert_mixstyle, mixstyle_places
from qtdog_tf.algorithms.mixup import Mixup
from qtdog_tf.algorithms.mldg import MLDG
from qtdog_tf.algorithms.mmd import MMD
from qtdog_tf.algorithms.rsc import RSC
from qtdog_tf.algorithms.sagm import SAGM
from qtdog_tf.algorithms.sagnet import SagNet
from qtdog_tf.algorithms.sam import SAM
from qtdog_tf.algorithms.saqat import SAQAT
from qtdog_tf.algorithms.settings import AlgorithmSettings
from qtdog_tf.algorithms.vrex import VREx

_BUILDERS: dict[str, Callable[[AlgorithmSettings, int], Algorithm]] = {
    "erm": lambda s, seed: ERM(),
    "coral": lambda s, seed: CORAL(s.coral_gamma),
    "fish": lambda s, seed: Fish(s.fish_meta_lr),
    "fishr": lambda s, seed: Fishr(s.fishr_lambda, s.fishr_ema, s.fishr_anneal_steps),
    "groupdro": lambda s, seed: GroupDRO(s.groupdro_eta),
    "irm": lambda s, seed: IRM(s.irm_lambda, s.irm_anneal_steps),
    "mixstyle": lambda s, seed: MixStyleERM(s.mixstyle_domain_labels),
    "mixup": lambda s, seed: Mixup(s.mixup_alpha, seed),
    "mldg": lambda s, seed: MLDG(s.mldg_beta, s.mldg_test_domains, seed),
    "mmd": lambda s, seed: MMD(s.mmd_gamma),
    "rsc": lambda s, seed: RSC(s.rsc_feature_drop, s.rsc_batch_drop),
    "sagm": lambda s, seed: SAGM(s.sagm_rho, s.sagm_alpha),
    "sagnet": lambda s, seed: SagNet(s.sagnet_adversarial_weight, seed),
    "sam": lambda s, seed: SAM(s.sam_rho),
    "saqat": lambda s, seed: SAQAT(
        s.sagm_rho,
        s.sagm_alpha,
        s.saqat_window,
        s.saqat_threshold,
        s.saqat_mask,
        s.saqat_permanent,
    ),
    "vrex": lambda s, seed: VREx(s.vrex_lambda, s.vrex_anneal_steps),
}


def build_algorithm(
    settings: AlgorithmSettings, seed: int = 0, teacher: keras.Model | None = None
) -> Algorithm:
    """The algorithm that the settings name, for one model.

    Args:
        settings: of the run.
        seed: of its random choices.
        teacher: for "distill", see `Distill`.

    Raises:
        ValueError: if there is no teacher and one is needed.
    """
    if settings.algorithm == "distill":
        if teacher is None:
            raise ValueError("algorithm distill needs the model of its teacher")
        return Distill(
            teacher,
            settings.distill_temperature,
            settings.distill_soft_weight,
            settings.distill_start,
        )
    return _BUILDERS[settings.algorithm](settings, seed)


def prepare_model(
    model: keras.Model,
    settings: AlgorithmSettings,
    backbone: str,
    seed: int = 0,
    num_domains: int = 1,
) -> keras.Model:
    """The model with the layers that the algorithm adds, before it is wrapped for quantization.

    Args:
        model: the float classifier.
        settings: of the run.
        backbone: its name.
        seed: of the random numbers of such layers.
        num_domains: number of source domains in a batch.

    Returns:
        For "mixstyle" a copy with `MixStyle` layers, otherwise `model`.

    Raises:
        UserError: if it is not known where such layers stand, or there they do not fit.
    """
    if settings.algorithm != "mixstyle":
        return model
    named = [name.strip() for name in settings.mixstyle_layers.split(",") if name.strip()]
    return insert_mixstyle(
        model,
        named or mixstyle_places(backbone),
        probability=settings.mixstyle_probability,
        alpha=settings.mixstyle_alpha,
        domains=num_domains if settings.mixstyle_domain_labels else 1,
        seed=seed,
    )
