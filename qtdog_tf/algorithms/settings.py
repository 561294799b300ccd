"""Which training method a run uses, and its hyperparameters; defaults are DomainBed's."""

import dataclasses

from qtdog_tf.algorithms.saqat import CHANNEL, MASKS
from qtdog_tf.errors import UserError
from qtdog_tf.settings import Settings, setting

ALGORITHMS = (
    "erm",
    "coral",
    "distill",
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
    "saqat",
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
    teacher: str = setting(
        "",
        "Distillation: folder of the ensemble or run whose predictions are learned; {targets} in "
        "it stands for the domains held out, line or flat+line for example.",
    )
    teacher_model: str = setting(
        "selected_sma", "Distillation: which model of the teacher; see tools.evaluate --help."
    )
    distill_temperature: float = setting(
        2.0, "Distillation: what logits of both are divided by.", at_least=_TINY
    )
    distill_soft_weight: float = setting(
        1.0,
        "Distillation: weight of the teacher's predictions; what is left to 1 is for the labels.",
        at_least=0.0,
        at_most=1.0,
    )
    distill_start: int = setting(
        0,
        "Distillation: step from which the teacher is asked; before, the labels alone count. 0: "
        "from the pretrained weights on; quantize_step: after a float phase like ERM's.",
        at_least=0,
    )
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
        False, "MixStyle: take the style from another domain always, not from any image."
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
        0.05, "SAGM, SAQAT: length of the move of the weights (paper: 0.05).", at_least=0.0
    )
    sagm_alpha: float = setting(
        1e-3, "SAGM, SAQAT: length, in gradients, of the move back (paper: 0.001).", at_least=0.0
    )
    sagnet_adversarial_weight: float = setting(
        0.1, "SagNet: weight of the adversarial loss (DomainBed: 0.1).", at_least=0.0
    )
    sam_rho: float = setting(
        0.05, "SAM: length of the move of the weights (paper: 0.05).", at_least=0.0
    )
    saqat_window: int = setting(
        200,
        "SAQAT (GAQAT / FQAT, a reconstruction): steps from one decision on which step sizes stop "
        "to follow the task to the next (inferred; not published).",
        at_least=2,
    )
    saqat_threshold: float = setting(
        0.3,
        "SAQAT: step sizes whose task gradient changes sign in a smaller part of the steps stop to "
        "follow it (inferred; not published).",
        at_least=0.0,
        at_most=1.0,
    )
    saqat_mask: str = setting(
        CHANNEL,
        "SAQAT: decide for each step size (channel), or for those of a layer together, by the sum "
        "of their gradients (layer).",
        choices=MASKS,
    )
    saqat_permanent: bool = setting(
        False, "SAQAT: what is frozen once stays frozen (an ablation of the paper's)."
    )
    vrex_lambda: float = setting(
        10.0, "VREx: weight of the penalty after annealing (DomainBed: 10).", at_least=0.0
    )
    vrex_anneal_steps: int = setting(
        500, "VREx: steps with weight 1 of the penalty (DomainBed: 500).", at_least=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.algorithm == "distill" and not self.teacher:
            raise UserError(
                "algorithm distill needs a teacher: name the folder of an ensemble or a run, "
                "--teacher=<output>/<targets>-ensemble0/qtdog7 for example"
            )
        if self.teacher and self.algorithm != "distill":
            raise UserError(
                f"algorithm {self.algorithm} has no teacher: add --algorithm=distill, or leave out "
                "--teacher"
            )
