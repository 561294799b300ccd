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
from qtdog_tf.errors import UserError


def load_saved_model(path: Path) -> keras.Model:
    """Loads a model for inference, in Keras' safe mode, which refuses code in the file.

    Args:
        path: a `.keras` file.

    Raises:
        UserError: if the file is truncated or damaged, or Keras cannot make a model of it.
    """
    # Before libraries in C read from it.
    _verify_checksums(path)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever the layers in the file raise.
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"model {path} is whole but cannot be loaded, so another version of this program may "
            f"have written it: {reason}"
        ) from error


def _verify_checksums(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(
            f"model {path} is truncated or damaged ({error}): restore it, or train the run again"
        ) from error
    if damaged is not None:
        raise UserError(
            f"model {path} is damaged (its part {damaged} has a wrong checksum): restore it, or "
            "train the run again"
        )
