"""What decides the outcome of quantization after training."""

import dataclasses

from qtdog_tf.quantization.lsq import MAX_BITS, MIN_BITS
from qtdog_tf.settings import Settings, setting

RTN, OBC = "rtn", "obc"


@dataclasses.dataclass(frozen=True)
class PostTrainingSettings(Settings):
    """Settings of quantization after training; each is a flag of `tools/quantize_run.py`.

    Raises:
        UserError: for a value that is not allowed, naming the setting.
    """

    method: str = setting(
        RTN,
        "rtn: each weight to the nearest code; obc: one after the other, the rest makes up for it, "
        "on calibration images.",
        choices=(RTN, OBC),
    )
    bits: int = setting(7, "Bit width of the codes.", at_least=MIN_BITS, at_most=MAX_BITS)
    narrow_range: str = setting(
        "auto",
        "Drop the lowest code: auto (at 8 bits only), always (needed for int4 files), never.",
        choices=("auto", "always", "never"),
    )
    calibration_images: int = setting(
        1024, "obc: training images of the source domains to calibrate with, at most.", at_least=1
    )
    calibration_seed: int = setting(0, "obc: chooses the calibration images.", at_least=0)
    dampening: float = setting(
        0.01, "obc: added to the diagonal of H, as a part of its mean.", at_least=1e-9
    )

    @property
    def name(self) -> str:
        """The name of the method at its bit width, "ptq_rtn7" for example."""
        return f"ptq_{self.method}{self.bits}"

    @property
    def narrow(self) -> bool | None:
        """`narrow_range` as the quantizer takes it."""
        return {"auto": None, "always": True, "never": False}[self.narrow_range]
