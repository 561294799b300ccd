"""The programs. Importing this package loads TensorFlow without its start-up chatter."""

import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def _load_tensorflow_quietly() -> None:
    """Imports TensorFlow with stderr held back; shown only if the import fails.

    TensorFlow's C++ code reports CPU features and missing GPU drivers before any setting for its
    log level is read, so only the file descriptor can keep that from a user's terminal.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            import keras  # noqa: F401  # before TensorFlow, see qtdog_tf/_tfmot.py
            import tensorflow as tf

            tf.config.list_physical_devices()
        except BaseException:
            os.dup2(terminal, 2)
            held_back.seek(0)
            sys.stderr.write(held_back.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


_load_tensorflow_quietly()
