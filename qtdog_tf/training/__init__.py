"""Training with Keras' own `fit`: optimizers, averages, callbacks, and the trainer made of them.

Start with `QuantizationOptimizer` in a pipeline of one's own.
"""

from typing import Any

from qtdog_tf._lazy import import_name

_MODULE_OF = {
    "Adam": "adam",
    "QuantizationOptimizer": "optimizer",
    "SimpleMovingAverage": "averaging",
    "StartQuantization": "callbacks",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    return import_name(__name__, _MODULE_OF, name)


def __dir__() -> list[str]:
    return __all__
