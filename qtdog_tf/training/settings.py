"""Everything that decides the outcome of a training run, except its target, trial and variant."""

import dataclasses

from qtdog_tf.errors import UserError
from qtdog_tf.quantization import inq, lsq
from qtdog_tf.records import SMA, SWA, SWAD
from qtdog_tf.settings import Settings, setting

MIXED_PRECISION = ("none", "bfloat16", "float16")
AUGMENT = "domainbed"


@dataclasses.dataclass(frozen=True)
class TrainSettings(Settings):
    """Settings of a training run; each is a flag of `tools/train.py`.

    Raises:
        UserError: for a value that is not allowed, naming the setting.
    """

    data: str = setting(
        "emoji_styles",
        "Where the images are: a folder root/<domain>/<class>/<image>, 'emoji_styles' (embedded), "
        "or 'tfds:<name>'.",
    )
    holdout: float = setting(
        0.2,
        "Fraction of each domain set aside: validation in source domains (DomainBed: 0.2).",
        at_least=0.01,
        at_most=0.9,
    )
    split_by: str = setting(
        "",
        "Regular expression on file names whose first group (or whole match) names what must not "
        "be split: all images of one group fall on the same side in every domain.",
    )
    in_domain_test: bool = setting(
        False,
        "Halve what is set aside of each source domain, one half for validation, one for a test in "
        "the domains trained on (with --holdout=0.4: 60/20/20, method, section 8.6).",
    )
    image_size: int = setting(224, "Height and width of the images, pixels.", at_least=8)
    images_per_domain: int = setting(
        32, "Images of each source domain in a batch (paper: 32).", at_least=1
    )
    augment: str = setting(
        AUGMENT,
        "Change training images at random: domainbed (crop, mirror, colours, grey), or none: only "
        "resize them, as DomainBed does for the variants of MNIST.",
        choices=(AUGMENT, "none"),
    )
    cache_mb: int = setting(
        2048, "Keep the image files in memory if they take at most this many MB.", at_least=0
    )
    backbone: str = setting(
        "efficientnet_lite0",
        "efficientnet_lite0, resnet18, resnet50, resnext50_32x4d (torchvision v1.5), deit_small "
        "(with --quantize_dense), mnist_cnn (DomainBed's for 28 pixels), mnist_cnn_quarter, tiny, "
        "or applications/<Name> of keras.applications, MobileNetV3Large for example.",
    )
    weights: str = setting(
        "imagenet", "Initial weights of the backbone: imagenet, none, or the path of a file."
    )
    shared_initialization: bool = setting(
        False,
        "Begin every trial with the same weights, the head's included, so that their runs can be "
        "averaged by tools.average (DiWA). Default: each trial has a head of its own.",
    )
    freeze_batch_norm: bool = setting(
        True, "Keep BatchNorm's mean and variance as they are; gamma and beta learn (paper)."
    )
    batch_norm_batches: int = setting(
        500,
        "Training batches on which BatchNorm's mean and variance are measured anew for averaged "
        "weights, at every evaluation, if they learn (SWAD: 500).",
        at_least=1,
    )
    dropout: float = setting(
        0.0, "Dropout rate on the features (paper: 0).", at_least=0.0, at_most=0.95
    )
    mixed_precision: str = setting(
        "none",
        "Compute in this type; quantizer, BatchNorm and loss stay float32. With float16 a resumed "
        "run may see other batches than a straight one, since Keras skips steps that overflow.",
        choices=MIXED_PRECISION,
    )
    steps: int = setting(5001, "Optimizer updates in all (paper: 5001).", at_least=1)
    quantize_step: int = setting(
        2000, "Step K at whose beginning quantization starts (paper: 2000).", at_least=0
    )
    eval_every: int = setting(
        300, "Evaluate after step 0, n, 2n, ... and the last (paper: 300).", at_least=1
    )
    learning_rate: float = setting(5e-5, "Learning rate of Adam, constant (paper).", at_least=0.0)
    weight_decay: float = setting(
        0.0, "L2 penalty on the weights, never on step sizes (paper: 0).", at_least=0.0
    )
    adam_epsilon: float = setting(1e-8, "Epsilon of Adam, as in PyTorch (paper).", at_least=0.0)
    step_size_lr_multiplier: float = setting(
        1.0, "Learning rate of the step sizes, as a multiple of learning_rate.", at_least=0.0
    )
    per_channel: bool = setting(True, "One step size per output channel (paper), or one per layer.")
    quantize_dense: bool = setting(
        False, "Quantize dense layers too, except the classifier head (for transformers)."
    )
    init: str = setting(
        "mean",
        "First step sizes: mean: 2*mean|w|/sqrt(Q_P) (paper); max: max|w|/Q_P.",
        choices=lsq.INIT_RULES,
    )
    grad_scale: str = setting(
        "tensor",
        "Scale of the step sizes' gradients: by the size of the whole tensor (released code), of "
        "the channel, or none.",
        choices=lsq.GRAD_SCALE_RULES,
    )
    narrow_range: str = setting(
        "auto",
        "Drop the lowest code: auto (at 8 bits only), always (needed for int4 files), never.",
        choices=("auto", "always", "never"),
    )
    inq_levels: str = setting(
        "paper",
        "INQ: 2^(bits-2) powers of two of each sign (paper), or 2^(bits-1) - 1 (released code).",
        choices=inq.LEVEL_RULES,
    )
    inq_portions: tuple = setting(
        ("0.5", "0.75", "0.875", "1"),
        "INQ: parts of the weights that are fixed, the first at quantize_step (its paper, for "
        "ResNets); the last must be 1.",
    )
    inq_every: int = setting(
        0,
        "INQ: steps from one portion to the next; 0: those after quantize_step divided by the "
        "number of portions.",
        at_least=0,
    )
    averages: tuple = setting(
        (SMA,),
        "Averages of the weights that are kept, evaluated and saved beside the weights as trained: "
        "sma (moving average), swa (mean over evaluations from quantize_step on), swad.",
    )
    sma_start: int = setting(
        100, "Step from which the simple moving average is kept (EoA: 100).", at_least=1
    )
    swad_converge: int = setting(
        3, "SWAD: evaluations within which validation loss must not fall any more.", at_least=1
    )
    swad_tolerance: int = setting(
        6, "SWAD: evaluations of too high a loss that end the average.", at_least=1
    )
    swad_ratio: float = setting(
        0.3, "SWAD: by what part the loss may rise (published: VLCS 0.2).", at_least=0.0
    )
    swad_mode: str = setting(
        "paper",
        "SWAD: each segment once, as in its paper, or merged as in its released code.",
        choices=("paper", "code"),
    )
    select_from_float: bool = setting(
        False,
        "Let source validation choose a step before quantization for a quantized model, as the "
        "released code does. The paper's rule, and the default, is not to.",
    )
    seed: int = setting(
        0, "Seed of batches, augmentation, head and dropout. The split has trial_seeds."
    )
    deterministic: bool = setting(
        True,
        "Repeat runs bit for bit on one machine (free on CPUs; slower on GPUs, where some "
        "operations cannot).",
    )
    steps_per_execution: int = setting(
        1, "Steps that Keras runs between callbacks; must divide quantize_step.", at_least=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [name for name in self.averages if name not in (SMA, SWA, SWAD)]
        if unknown or len(set(self.averages)) < len(self.averages):
            raise UserError(
                f"averages must be different ones of sma, swa, swad; received {self.averages}"
            )
        if SMA not in self.averages:
            raise UserError("averages must have sma among them, which the headline rests on")
        if self.quantize_step >= self.steps:
            raise UserError(
                f"quantize_step ({self.quantize_step}) must be below steps ({self.steps}), or "
                "nothing would be quantized"
            )
        if self.quantize_step % self.steps_per_execution:
            raise UserError(
                f"steps_per_execution ({self.steps_per_execution}) must divide quantize_step "
                f"({self.quantize_step}), since callbacks act between executions"
            )

        self._check_portions()

    def _check_portions(self) -> None:
        try:
            portions = [float(text) for text in self.inq_portions]
        except ValueError:
            portions = []
        rises = all(a < b for a, b in zip([0.0, *portions], portions, strict=False))
        if not portions or not rises or portions[-1] != 1:
            raise UserError(
                "inq_portions must be rising numbers above 0, the last one 1; received "
                f"{','.join(map(str, self.inq_portions))}"
            )
        if self.inq_every % self.steps_per_execution:
            raise UserError(
                f"steps_per_execution ({self.steps_per_execution}) must divide inq_every "
                f"({self.inq_every}), since callbacks act between executions"
            )
        if self.inq_every and self.portion_steps[-1][0] >= self.steps:
            raise UserError(
                f"with inq_every={self.inq_every} INQ would fix its last portion at step "
                f"{self.portion_steps[-1][0]}, and steps is {self.steps}: lower inq_every"
            )

    @property
    def portion_steps(self) -> list[tuple[int, float]]:
        """INQ's schedule: (the step at whose beginning a portion is fixed, the portion)."""
        every = self.inq_every
        if not every:
            every = (self.steps - self.quantize_step) // len(self.inq_portions)
            every -= every % self.steps_per_execution
        return [
            (self.quantize_step + number * every, float(portion))
            for number, portion in enumerate(self.inq_portions)
        ]

    @property
    def narrow(self) -> bool | None:
        """`narrow_range` as the quantizer takes it."""
        return {"auto": None, "always": True, "never": False}[self.narrow_range]
