"""Which training method a run uses, and its hyperparameters; defaults are DomainBed's."""

import dataclasses

from qtdog_tf.settings import Settings, setting

ALGORITHMS = (
    "erm",
    "coral",
    "fish",
    "fishr",
    "groupdro",
    "irm",
    "mixstyle",
    "mixup",
    "mldg",
    "mmd",
    "rsc",
    "sagm",
    "sagnet",
    "sam",
    "vrex",
)
# Where 0 is not allowed.
_TINY = 1e-6


@dataclasses.dataclass(frozen=True)
class AlgorithmSettings(Settings):
    """Settings of the training method; each is a flag of `tools/train.py`.

    Raises:
        UserError: for a value that is not allowed, naming the setting.
    """

    algorithm: str = setting(
        "erm", f"Training method: {', '.join(ALGORITHMS)}.", choices=ALGORITHMS
    )
    coral_gamma: float = setting(1.0, "CORAL: weight of the penalty (DomainBed: 1).", at_least=0.0)
    fish_meta_lr: float = setting(
        0.5,
        "Fish: part of the way to the inner weights (DomainBed: 0.5).",
        at_least=_TINY,
        at_most=1.0,
    )
    fishr_lambda: float = setting(
        1000.0, "Fishr: weight of the penalty (DomainBed: 1000).", at_least=0.0
    )
    fishr_ema: float = setting(
        0.95,
        "Fishr: decay of the running gradient variances (DomainBed: 0.95).",
        at_least=0.0,
        at_most=0.9999,
    )
    fishr_anneal_steps: int = setting(
        1500, "Fishr: step from which the penalty counts (DomainBed: 1500).", at_least=0
    )
    groupdro_eta: float = setting(
        1e-2, "GroupDRO: step length of the domains' weights (DomainBed: 0.01).", at_least=0.0
    )
    irm_lambda: float = setting(
        100.0, "IRM: weight of the penalty after annealing (DomainBed: 100).", at_least=0.0
    )
    irm_anneal_steps: int = setting(
        500, "IRM: steps with weight 1 of the penalty (DomainBed: 500).", at_least=0
    )
    mixstyle_alpha: float = setting(
        0.1, "MixStyle: parameter of the Beta distribution (paper: 0.1).", at_least=_TINY
    )
    mixstyle_probability: float = setting(
        0.5, "MixStyle: probability of mixing at each place.", at_least=0.0, at_most=1.0
    )
    mixstyle_domain_labels: bool = setting(
        False, "MixStyle: mix each half of the domains with the other, instead of any two images."
    )
    mixstyle_layers: str = setting(
        "",
        "MixStyle: layers to put it behind, separated by commas. Default: the ends of the first "
        "three stages of the backbone.",
    )
    mixup_alpha: float = setting(
        0.2, "Mixup: parameter of the Beta distribution (DomainBed: 0.2).", at_least=_TINY
    )
    mldg_beta: float = setting(
        1.0, "MLDG: weight of the held out domains (DomainBed: 1).", at_least=0.0
    )
    mldg_test_domains: int = setting(
        2, "MLDG: source domains held out at each step (DomainBed: 2).", at_least=1
    )
    mmd_gamma: float = setting(1.0, "MMD: weight of the penalty (DomainBed: 1).", at_least=0.0)
    rsc_feature_drop: float = setting(
        1 / 3, "RSC: part of the features to mute (DomainBed: 1/3).", at_least=0.0, at_most=1.0
    )
    rsc_batch_drop: float = setting(
        1 / 3,
        "RSC: part of the images to mute them in (DomainBed: 1/3).",
        at_least=0.0,
        at_most=1.0,
    )
    sagm_rho: float = setting(
        0.05, "SAGM: length of the move of the weights (paper: 0.05).", at_least=0.0
    )
    sagm_alpha: float = setting(
        1e-3, "SAGM: length, in gradients, of the move back (paper: 0.001).", at_least=0.0
    )
    sagnet_adversarial_weight: float = setting(
        0.1, "SagNet: weight of the adversarial loss (DomainBed: 0.1).", at_least=0.0
    )
    sam_rho: float = setting(
        0.05, "SAM: length of the move of the weights (paper: 0.05).", at_least=0.0
    )
    vrex_lambda: float = setting(
        10.0, "VREx: weight of the penalty after annealing (DomainBed: 10).", at_least=0.0
    )
    vrex_anneal_steps: int = setting(
        500, "VREx: steps with weight 1 of the penalty (DomainBed: 500).", at_least=0
    )
