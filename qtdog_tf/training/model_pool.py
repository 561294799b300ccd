"""One model for phases that follow each other: `ModelPool`."""

import gc
from collections.abc import Callable

import keras
import tensorflow as tf

from qtdog_tf.algorithms import AlgorithmSettings
from qtdog_tf.averaging.uniform import initialization_fingerprint
from qtdog_tf.quantization.quantize_config import WeightQuantizeConfig
from qtdog_tf.quantization.start import MakeQuantizer, rebuild_functions, replace_quantizers
from qtdog_tf.quantization.wrapper import quantize_wrappers
from qtdog_tf.training.model import build_training_model
from qtdog_tf.training.settings import TrainSettings

# Bits of a wrapper that will never quantize; any width would do.
_UNUSED_BITS = 7


class ModelPool:
    """Hands out the model of a phase, and the one of the phase before again where that fits.

    Building and tracing a model takes half a minute; phases that follow each other often differ
    in the values of its variables only. Whoever takes a model restores its full state.

    Args:
        settings: of the runs.
        num_classes: number of logits.
        seed: of the head, of dropout and of the algorithm.
        algorithm: the training method. Default ERM.
        num_domains: number of source domains in a batch.
        load_teacher: for distillation: returns the teacher, see `Distill`.
        strategy: which devices train it. Default: one.

    Attributes:
        initialization: of the weights that training begins with, see `initialization_fingerprint`;
            empty before the first model.
    """

    def __init__(
        self,
        settings: TrainSettings,
        num_classes: int,
        seed: int,
        algorithm: AlgorithmSettings | None = None,
        num_domains: int = 1,
        load_teacher: Callable[[], keras.Model] | None = None,
        strategy: tf.distribute.Strategy | None = None,
    ) -> None:
        self._settings = settings
        self._num_classes = num_classes
        self._seed = seed
        self._algorithm = algorithm
        self._num_domains = num_domains
        self._load_teacher = load_teacher
        self._strategy = strategy or tf.distribute.get_strategy()
        self._model: keras.Model | None = None
        self._bits: int | None = None
        self.initialization = ""
        self._own: list[WeightQuantizeConfig] = []

    def get(
        self, bits: int | None, mode: str = "off", make_quantizer: MakeQuantizer | None = None
    ) -> keras.Model:
        """A model whose wrappers have `bits` and are in `mode`; its state is anybody's.

        Args:
            bits: bit width of the codes; None if the phase does not quantize.
            mode: mode of the wrappers at the beginning of the phase.
            make_quantizer: see `start_quantization`; of a phase that began before.
        """
        if self._model is None or (bits is not None and bits != self._bits):
            # The functions of the model before would stay alive in Keras' global state.
            self._model = None
            keras.backend.clear_session()
            gc.collect()
            self._bits = bits or _UNUSED_BITS
            with self._strategy.scope():
                self._model = build_training_model(
                    self._settings,
                    self._num_classes,
                    bits=self._bits,
                    seed=self._seed,
                    algorithm=self._algorithm,
                    num_domains=self._num_domains,
                    teacher=self._load_teacher() if self._load_teacher else None,
                )
            self.initialization = initialization_fingerprint(self._model)
            self._own = [w.quantize_config for w in quantize_wrappers(self._model)]
        wrappers = quantize_wrappers(self._model)
        pairs = list(zip(wrappers, self._own, strict=True))
        others = make_quantizer is not None or any(w.quantize_config is not o for w, o in pairs)
        if others or any(wrapper.mode != mode for wrapper in wrappers):
            for wrapper, own in pairs:
                wrapper.set_mode(mode)
                wrapper.replace_quantizer(own)
            replace_quantizers(self._model, make_quantizer)
            rebuild_functions(self._model)
        return self._model
