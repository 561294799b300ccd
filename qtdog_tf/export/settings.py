"""How a model is exported; each setting is a flag of `tools/export_tflite.py`."""

import dataclasses

from qtdog_tf.errors import UserError
from qtdog_tf.export.observers import MIN_MAX, OBSERVERS
from qtdog_tf.settings import Settings, setting

INT8, INT4, DYNAMIC, FLOAT16, FLOAT32 = "int8", "int4", "dynamic", "float16", "float32"
KINDS = (INT8, INT4, DYNAMIC, FLOAT16, FLOAT32)
INTEGER_KINDS = (INT8, INT4)
INPUT_TYPES = ("uint8", "int8", "float32")


@dataclasses.dataclass(frozen=True)
class ExportSettings(Settings):
    """Settings of an export.

    Raises:
        UserError: for a value that is not allowed, naming the setting.
    """

    kind: str = setting(
        INT8,
        "int8: integers only. int4: the same with weights of 4 bits. dynamic: int8 weights, float "
        "activations. float16: weights in float16. float32.",
        choices=KINDS,
    )
    input_type: str = setting(
        "uint8",
        "Numbers that an integer file takes and gives: uint8 (a camera's pixels as they are), "
        "int8 (pixel - 128), float32 (pixels 0 to 255). The other kinds are float32.",
        choices=INPUT_TYPES,
    )
    observer: str = setting(
        MIN_MAX,
        "How the range of an activation follows from what calibration saw: its extremes, the "
        "moving average of the batches' extremes, or a percentile.",
        choices=OBSERVERS,
    )
    percentile: float = setting(
        99.99, "Of the percentile observer, percent.", at_least=51.0, at_most=100.0
    )
    calibration_images: int = setting(
        256, "Training images of the source domains to calibrate with.", at_least=1
    )
    calibration_seed: int = setting(0, "Chooses the calibration images.", at_least=0)
    parity_images: int = setting(
        2000, "Images of each domain, at most, to compare file and model on.", at_least=1
    )
    min_agreement: float = setting(
        0.97,
        "Refuse a file that names another class than the model on more than the rest of the "
        "images, 0 to 1.",
        at_least=0.0,
        at_most=1.0,
    )

    @property
    def is_integer(self) -> bool:
        """Whether the file computes with integers only."""
        return self.kind in INTEGER_KINDS

    def check(self) -> None:
        """Refuses combinations that cannot be.

        Raises:
            UserError: naming them.
        """
        if not self.is_integer and self.input_type == "int8":
            raise UserError(
                f"--input_type=int8 is for integer files; --kind={self.kind} is float32"
            )
