"""Converts a torch checkpoint (.pth) into a .safetensors file that build_backbone reads.

    python -m tools.convert_weights --input=resnet50-0676ba61.pth --output=resnet50.safetensors

Needs torch on this machine, once; training does not. The checkpoint is read with
weights_only=True, so that it can run no code.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from safetensors.numpy import save_file

from qtdog_tf.errors import UserError
from qtdog_tf.files import replacing
from tools._main import refuse_arguments, run_tool

INPUT = flags.DEFINE_string("input", None, "The .pth file.", required=True)
OUTPUT = flags.DEFINE_string("output", None, "The .safetensors file to write.", required=True)

_TABLES = ("state_dict", "model")


def convert(source: Path, target: Path) -> int:
    """Writes the tensors of a torch checkpoint as a .safetensors file.

    Args:
        source: a .pth file that holds a table of tensors, or one under 'state_dict' or 'model'.
        target: a .safetensors file that does not exist yet.

    Returns:
        The number of tensors written.

    Raises:
        UserError: if torch is not installed, the source cannot be read or is no table of tensors,
            or the target exists.
    """
    if target.suffix != ".safetensors":
        raise UserError(f"--output={target} must end with .safetensors")
    if target.exists():
        raise UserError(f"{target} exists: remove it, or choose another --output")
    if not source.is_file():
        raise UserError(f"there is no file {source}")
    tensors = _load(source)
    with replacing(target) as temporary:
        save_file(tensors, temporary)
    return len(tensors)


def _load(source: Path) -> dict[str, np.ndarray]:
    """Reads a checkpoint with torch."""
    try:
        import torch
    except ImportError as error:
        raise UserError(
            "converting a .pth file needs torch in this environment, for this once: "
            "`pip install torch`"
        ) from error
    try:
        content = torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{source} holds more than tensors, and reading it could run code: save only its "
            "state_dict() where you trust it"
        ) from error
    except Exception as error:  # of whatever type a wrong byte leads its interpreter to
        # Torch's further lines explain its own calls.
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"torch cannot read {source} as plain weights: {reason}") from error
    table = next(
        (content[k] for k in _TABLES if isinstance(content, dict) and k in content), content
    )
    if not isinstance(table, dict) or not all(_is_tensor(value) for value in table.values()):
        raise UserError(f"{source} is no table of tensors (a state_dict)")
    return {name: np.array(value.numpy(), order="C") for name, value in table.items()}


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "numpy") and hasattr(value, "stride")


def main(argv: list[str]) -> None:
    """Runs the program."""
    refuse_arguments(argv)
    count = convert(Path(INPUT.value), Path(OUTPUT.value))
    print(f"{OUTPUT.value}: {count} tensors")


if __name__ == "__main__":
    run_tool(main)
