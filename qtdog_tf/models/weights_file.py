"""Reads files of tensors in torch's layout: `.safetensors`, and `.pth` of the legacy format.

Start with `read_tensors`.
"""

from pathlib import Path

import numpy as np
import safetensors

from qtdog_tf.errors import UserError, one_line
from qtdog_tf.models.torch_legacy import read_legacy_checkpoint

_ZIP = b"PK\x03\x04"
# Of the table at the start of a .safetensors file; the networks here need some 50 kB.
_MAX_HEADER = 16 * 2**20


def read_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """Reads all tensors of a weights file, executing nothing.

    Args:
        path: a `.safetensors` file or a legacy `.pth` file.

    Returns:
        Tensor name -> array.

    Raises:
        UserError: if the file is not there, damaged, or of another format.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise UserError(f"cannot read the weights file {path}: {error.strerror}") from error
    if path.suffix == ".safetensors":
        if len(start) == 8 and int.from_bytes(start, "little") > _MAX_HEADER:
            raise UserError(
                f"{path} is no valid .safetensors file: its table is larger than "
                f"{_MAX_HEADER:,} bytes"
            )
        return _read_safetensors(path)
    if path.suffix not in (".pth", ".pt"):
        raise UserError(f"{path} is no weights file that can be read here: use .safetensors")
    if start.startswith(_ZIP):
        raise UserError(
            f"{path} is a torch file that only torch should read: convert it once with "
            f"`python -m tools.convert_weights --input={path} --output=WEIGHTS.safetensors`"
        )
    return read_legacy_checkpoint(path)


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Reads a `.safetensors` file."""
    try:
        with safetensors.safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise UserError(f"{path} is no valid .safetensors file: {one_line(error)}") from error
    except OSError as error:
        raise UserError(f"cannot read the weights file {path}: {one_line(error)}") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} holds tensors of a number type that NumPy does not have ({one_line(error)}): "
            "save it as float32"
        ) from error
