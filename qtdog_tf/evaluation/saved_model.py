"""Reads `.keras` files that training wrote, without trust in what has become of them since."""

import zipfile
import zlib
from pathlib import Path

import keras

# Imported for what they register: the layers that a run's models are made of.
import qtdog_tf.ensemble
import qtdog_tf.models.applications
import qtdog_tf.models.batch_norm
import qtdog_tf.quantization.annotate  # noqa: F401
from qtdog_tf.child import HDF5_CHILD, what_is_wrong
from qtdog_tf.data.zip_check import check_members
from qtdog_tf.errors import UserError, one_line
from qtdog_tf.evaluation.saved_config import check_config
from qtdog_tf.evaluation.weight_budget import check_outputs, weight_budget

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MEMBERS = {"metadata.json", _CONFIG, _WEIGHTS}
_CONFIG_BYTES = 64 * 2**20
# What Python raises for an archive with wrong bytes in it; NotImplementedError is a RuntimeError.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    ValueError,
    OverflowError,
    OSError,
    KeyError,
)


def load_saved_model(path: Path) -> keras.Model:
    """Loads a model for inference, in Keras' safe mode, which refuses code in the file.

    Before that the names in the file are checked against those that models here are made of, and
    its weights are read on trial in a process of their own.

    Args:
        path: a `.keras` file.

    Raises:
        UserError: if the file is truncated or damaged, names what no model of this project holds,
            or Keras cannot make a model of it.
    """
    path = Path(path)
    # Before libraries in C read from it.
    config, weight_bytes = verify_archive(path)
    try:
        check_config(config)
        refused = what_is_wrong(HDF5_CHILD, str(path))
        if refused is not None:
            raise ValueError(f"its weights are no whole HDF5 file: {refused}")
    except (ValueError, RecursionError) as error:
        raise UserError(f"model {path} cannot be loaded: {one_line(error)}") from error
    try:
        with weight_budget(weight_bytes):
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
        check_outputs(model)
        return model
    except Exception as error:  # Keras raises whatever the layers in the file raise.
        raise UserError(
            f"model {path} is whole but cannot be loaded, so another version of this program may "
            f"have written it: {one_line(error)}"
        ) from error


def verify_archive(path: Path) -> tuple[bytes, int]:
    """Checks names, sizes and checksums of the members of a `.keras` file, without loading it.

    Args:
        path: the file.

    Returns:
        The model's description, and the size of its weights, bytes.

    Raises:
        UserError: if the file is not there, truncated or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_members(archive, path.stat().st_size)
            if set(archive.namelist()) != _MEMBERS:
                raise zipfile.BadZipFile(f"its members are not {', '.join(sorted(_MEMBERS))}")
            if archive.getinfo(_CONFIG).file_size > _CONFIG_BYTES:
                raise zipfile.BadZipFile(f"its {_CONFIG} is larger than {_CONFIG_BYTES:,} bytes")
            damaged = archive.testzip()
            if damaged is None:
                return archive.read(_CONFIG), archive.getinfo(_WEIGHTS).file_size
    except _DAMAGE as error:
        raise UserError(
            f"model {path} is truncated or damaged ({one_line(error)}): restore it, or train "
            "the run again"
        ) from error
    raise UserError(
        f"model {path} is damaged (its part {damaged} has a wrong checksum): restore it, or "
        "train the run again"
    )
