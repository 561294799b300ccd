"""The Keras 3 host of TFMOT's contract: a wrapper that quantizes the weights of one layer.

TFMOT's own wrapper accepts `tf_keras` layers only. This one honours the same contract
(`QuantizeConfig.get_weights_and_quantizers`, `set_quantize_weights`, `Quantizer.build`,
`__call__`) for Keras 3, and adds what QT-DoG needs: a model is wrapped before training with
quantization off, and switched on at step K without replacing a layer or a variable, so that the
optimizer's moments, BatchNorm state and iteration count go on.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from qtdog_tf.quantization.quantize_config import WeightQuantizeConfig

# What happens to a wrapped layer from step K on.
MODES = ("train", "frozen", "off", "frozen_float")
QUANTIZING_MODES = ("train", "frozen")
FREEZING_MODES = ("frozen", "frozen_float")


def check_mode(mode: str) -> str:
    """Returns `mode` if it is one of `MODES`, else raises ValueError."""
    if mode not in MODES:
        raise ValueError(f"quantization mode must be one of {MODES}, received {mode!r}")
    return mode


class ConfiguredWrapper(keras.layers.Wrapper):
    """A layer together with how it is quantized: what marks and quantizing wrappers share.

    Args:
        layer: the layer.
        quantize_config: which of its weights are quantized, and by what.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(
        self, layer: keras.layers.Layer, quantize_config: WeightQuantizeConfig, **kwargs: Any
    ) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = layer.supports_masking
        self.quantize_config = quantize_config

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        config["quantize_config"] = keras.saving.serialize_keras_object(self.quantize_config)
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "ConfiguredWrapper":
        """The inverse of `get_config`."""
        config = dict(config)
        layer = keras.saving.deserialize_keras_object(config.pop("layer"), custom_objects)
        quantize_config = keras.saving.deserialize_keras_object(
            config.pop("quantize_config"), custom_objects
        )
        return cls(layer, quantize_config, **config)


@keras.saving.register_keras_serializable("qtdog_tf")
class QuantizeWrapper(ConfiguredWrapper):
    """Runs a layer with its weights quantized, or as it is while quantization is off.

    The latent float weights stay the layer's variables (they are saved and trained); the
    wrapper owns the step sizes. All of it goes through `.keras` files without a custom scope.

    Args:
        layer: a Conv2D, DepthwiseConv2D or Dense layer, or any that `quantize_config` understands.
        quantize_config: which weights are quantized, and by what.
        mode: "train": quantized, latent weights and step sizes learn (the paper). With a quantizer
            other than LSQ: what that one does with the weights, which learn.
            "frozen": quantized, neither learns (what the released code does).
            "off" (default): a float layer; the step sizes are there and unused.
            "frozen_float": a float layer whose weights do not learn (control).
    """

    _quantized: list[tuple[Any, Any, dict[str, Any]]]

    def __init__(
        self,
        layer: keras.layers.Layer,
        quantize_config: WeightQuantizeConfig,
        mode: str = "off",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        # The wrapper works in float32 and leaves its inputs alone, whatever the global policy:
        # a weight has to reach the quantizer unrounded. The wrapped layer keeps its own policy.
        kwargs["dtype"] = "float32"
        kwargs.setdefault("trainable", layer.trainable)
        self._mode = check_mode(mode)
        super().__init__(layer, quantize_config, name=name or f"quant_{layer.name}", **kwargs)
        self.autocast = False
        # (latent variable, quantizer, the quantizer's variables), filled by `build`. Past Keras'
        # tracking, which would list the layer's own variables a second time.
        object.__setattr__(self, "_quantized", [])

    @property
    def mode(self) -> str:
        """One of `MODES`. Change it with `set_mode`."""
        return self._mode

    @property
    def quantizes(self) -> bool:
        """Whether the layer runs on codes times step sizes now."""
        return self._mode in QUANTIZING_MODES and self.quantize_config.quantizer.has_lattice

    @property
    def holds_codes(self) -> bool:
        """Whether each weight is one of at most 2^bits values now, on a lattice or not."""
        return self._mode in QUANTIZING_MODES and self.quantize_config.quantizer.holds_codes

    @property
    def quantized_weights(self) -> list[tuple[Any, Any, dict[str, Any]]]:
        """Triples (latent variable, quantizer, its variables) of the built layer."""
        return list(self._quantized)

    def build(self, input_shape: Any = None) -> None:
        """Builds the layer and the variables of its quantizers."""
        super().build(input_shape)
        for weight, quantizer in self.quantize_config.get_weights_and_quantizers(self.layer):
            variables = quantizer.build(weight.shape, weight.name, self)
            self._quantized.append((weight, quantizer, variables))
        self.built = True
        if self._mode in FREEZING_MODES:
            self._let_learn(False)

    def set_mode(self, mode: str) -> None:
        """Switches the layer to `mode`; functions that were already traced do not notice.

        Frozen variables leave `trainable_variables`: zero gradients would not hold them, since
        an optimizer with momentum drifts on. Trainable flags are touched only where freezing
        begins or ends, so that what the user froze stays frozen.
        """
        before, self._mode = self._mode, check_mode(mode)
        freezes = mode in FREEZING_MODES
        if freezes != (before in FREEZING_MODES):
            self._let_learn(not freezes)

    def replace_quantizer(self, quantize_config: WeightQuantizeConfig) -> None:
        """Gives the built layer another quantizer over the same variables.

        Functions that were already traced do not notice.

        Args:
            quantize_config: with the new quantizer.
        """
        self.quantize_config = quantize_config
        pairs = quantize_config.get_weights_and_quantizers(self.layer)
        for number, (weight, quantizer) in enumerate(pairs):
            _, before, variables = self._quantized[number]
            before.detach(weight)
            quantizer.attach(weight)
            self._quantized[number] = (weight, quantizer, variables)

    def _let_learn(self, learns: bool) -> None:
        for weight, _, variables in self._quantized:
            for variable in (weight, *variables.values()):
                variable.trainable = learns and self.trainable and self.layer.trainable

    @property
    def trainable(self) -> bool:
        """Whether the layer may learn; a freezing mode freezes its weights all the same."""
        return super().trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        keras.layers.Wrapper.trainable.fset(self, value)
        if self._mode in FREEZING_MODES:
            self._let_learn(False)

    def initialize_step_sizes(self) -> None:
        """Sets every step size from the present weights."""
        for weight, quantizer, variables in self._quantized:
            quantizer.initialize(weight, variables)

    def call(self, inputs: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """The layer's output, computed with what the quantizer makes of the weights."""
        if self.layer._call_has_training_arg:
            kwargs["training"] = training
        if self._mode not in QUANTIZING_MODES:
            return self.layer(inputs, **kwargs)
        dtype = self.layer.compute_dtype
        quantized = [
            tf.cast(quantizer(weight, training, variables), dtype)
            for weight, quantizer, variables in self._quantized
        ]
        with self._in_place_of_weights(quantized):
            return self.layer(inputs, **kwargs)

    @contextlib.contextmanager
    def _in_place_of_weights(self, quantized: list[tf.Tensor]) -> Iterator[None]:
        self.quantize_config.set_quantize_weights(self.layer, quantized)
        try:
            yield
        finally:
            latent = [weight for weight, _, _ in self._quantized]
            self.quantize_config.set_quantize_weights(self.layer, latent)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """That of the layer."""
        return self.layer.compute_output_shape(input_shape)

    def compute_output_spec(self, inputs: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """That of the layer, in the layer's dtype and not in the wrapper's float32."""
        return self.layer.compute_output_spec(inputs, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; `mode` too, or a loaded model would be a float one."""
        return {**super().get_config(), "mode": self._mode}


def quantize_wrappers(model: keras.Model) -> list[QuantizeWrapper]:
    """Every wrapper in a model, nested models included, each once, in the model's order."""
    seen: dict[int, QuantizeWrapper] = {}
    for layer in model._flatten_layers(include_self=False, recursive=True):
        if isinstance(layer, QuantizeWrapper):
            seen.setdefault(id(layer), layer)
    return list(seen.values())
