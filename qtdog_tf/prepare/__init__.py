"""Turns what a person downloaded into `<domain>/<class>/<image>`. Start from `prepare`."""

from qtdog_tf.prepare.run import Prepared, prepare
from qtdog_tf.prepare.settings import PrepareSettings

__all__ = ["PrepareSettings", "Prepared", "prepare"]
