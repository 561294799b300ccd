"""From a Keras model to the deploy graph: nested models and wrappers are opened, layers read out.

A layer without an integer form stays as it is, as a `KerasCall`; `float_layers` names those, and
the exporter refuses them for integer files.

Start with `lower`.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import keras

from qtdog_tf.errors import UserError
from qtdog_tf.export.graph import ops
from qtdog_tf.export.graph.lower_common import NotInteger
from qtdog_tf.export.graph.lower_layers import lower_layer
from qtdog_tf.quantization.wrapper import ConfiguredWrapper


def lower(model: keras.Model) -> ops.Graph:
    """Reads a model out into a deploy graph of the same outputs.

    Args:
        model: functional or sequential, from raw pixels [n, S, S, 3] to one output; models in it
            are entered, however deep.

    Returns:
        The graph, nothing folded yet; see `fold`.

    Raises:
        UserError: for a subclassed model, one that is not built, more than one input or output, or
            images of any size.
    """
    if not isinstance(model, keras.Function | keras.Sequential):
        raise UserError(
            f"model {model.name!r} is a subclass of keras.Model, whose layers cannot be reached: "
            "build it with the functional or sequential API to export it"
        )
    if not hasattr(model, "inputs"):
        raise UserError(
            f"model {model.name!r} does not know its input yet: begin it with "
            "keras.Input((size, size, 3)) to export it"
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UserError(
            f"model {model.name!r} has {len(model.inputs)} inputs and {len(model.outputs)} "
            "outputs; a model from one image to one output is needed"
        )
    shape = tuple(model.inputs[0].shape[1:])
    if None in shape:
        raise UserError(
            f"model {model.name!r} takes images of any size, and a file takes one: build it with "
            "keras.Input((size, size, 3)) to export it"
        )
    lowering = _Lowering()
    image = lowering.add(ops.Image(lowering.unique("image"), (), shape, "the input"))
    lowering.run(model, [image], prefix="")
    return ops.Graph(tuple(lowering.ops.values()))


def float_layers(graph: ops.Graph) -> list[str]:
    """The layers that an integer file cannot hold, each with the reason."""
    return [f"{op.layer}: {op.why}" for op in graph.ops if isinstance(op, ops.KerasCall)]


def name_some(obstacles: Sequence[str]) -> str:
    """The first of what `float_layers` returned, and how many more there are."""
    more = f", and {len(obstacles) - 1} more" * (len(obstacles) > 1)
    return f"{obstacles[0]}{more}"


class _Lowering:
    def __init__(self) -> None:
        self.ops: dict[str, ops.Op] = {}
        self._names: set[str] = set()

    def add(self, op: ops.Op) -> ops.Ref:
        self.ops[op.name] = op
        return ops.Ref(op.name)

    def unique(self, name: str) -> str:
        """A name that TensorFlow takes as one scope, and that no other operation has.

        To TensorFlow, names that differ in upper and lower case only are the same.
        """
        stem = "".join(c if c.isalnum() or c in "_.-" else "_" for c in name).lstrip("_.-") or "op"
        candidates = (f"{stem}.{number}" if number > 1 else stem for number in itertools.count(1))
        unused = next(name for name in candidates if name.lower() not in self._names)
        self._names.add(unused.lower())
        return unused

    def run(self, model: Any, inputs: Sequence[ops.Ref], prefix: str) -> ops.Ref:
        """Adds the operations of a model; returns its output."""
        if isinstance(model, keras.Sequential):
            model = model._functional
        found: dict[int, Any] = {id(x): ref for x, ref in zip(model.inputs, inputs, strict=True)}
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if node.is_input:
                    continue
                args, kwargs = node.arguments.fill_in(found)
                shape = tuple(node.outputs[0].shape[1:])
                if len(node.outputs) > 1:
                    raise UserError(
                        f"layer {node.operation.name!r} has {len(node.outputs)} outputs, which "
                        "export does not know"
                    )
                found[id(node.outputs[0])] = self._call(node.operation, args, kwargs, shape, prefix)
        return found[id(model.outputs[0])]

    def _call(
        self, operation: Any, args: Any, kwargs: Any, shape: tuple[int, ...], prefix: str
    ) -> ops.Ref:
        if isinstance(operation, keras.Function | keras.Sequential):
            inputs = [ref for ref in keras.tree.flatten(args) if isinstance(ref, ops.Ref)]
            return self.run(operation, inputs, f"{prefix}{operation.name}.")
        bare = operation.layer if isinstance(operation, ConfiguredWrapper) else operation
        name = self.unique(prefix + bare.name)
        layer = f"{prefix}{bare.name} ({type(bare).__name__})"
        arguments = keras.tree.flatten((args, kwargs))
        refs = [ref.name for ref in arguments if isinstance(ref, ops.Ref)]
        constants = [x for x in arguments if not isinstance(x, ops.Ref)]
        common = (name, tuple(refs), shape, layer)
        shapes = [self.ops[ref].shape for ref in refs]
        try:
            lowered = lower_layer(operation, common, shapes, constants)
        except NotInteger as error:
            call = ops.KerasCall(*common, operation, args, kwargs, str(error))
            return self.add(call)
        result = ops.Ref(refs[0]) if refs else None
        for op in lowered:
            result = self.add(op)
        assert result is not None
        return result


def with_probabilities(graph: ops.Graph) -> ops.Graph:
    """The graph with a softmax behind its logits.

    An ensemble that averages probabilities has them already: what its model returns is their
    logarithm, so that every model here returns logits.

    Raises:
        UserError: if the model returns probabilities itself.
    """
    last = graph.output
    by_name = {op.name: op for op in graph.ops}
    if isinstance(last, ops.Average) and isinstance(by_name[last.inputs[0]], ops.Softmax):
        return graph
    made_by = last
    while _only_reshapes(made_by):
        made_by = by_name[made_by.inputs[0]]
    if _is_softmax(made_by):
        raise UserError(
            f"layer {made_by.layer} makes probabilities, which export does itself: hand in the "
            "model up to its logits"
        )
    softmax = ops.Softmax(f"{last.name}.probabilities", (last.name,), last.shape, "the output")
    return ops.Graph((*graph.ops, softmax))


def _only_reshapes(op: ops.Op) -> bool:
    """Whether an operation hands on the values of its only input."""
    name = type(op.operation).__name__ if isinstance(op, ops.KerasCall) else type(op).__name__
    return name in ("Reshape", "Flatten", "Squeeze") and len(op.inputs) == 1


def _is_softmax(op: ops.Op) -> bool:
    """Whether an operation is a softmax: read out, `keras.ops.softmax`, or of a layer that stays.

    A layer that is wrapped to be quantized, and stays as it is, has its activation inside.
    """
    if not isinstance(op, ops.KerasCall):
        return isinstance(op, ops.Softmax)
    bare = op.operation.layer if isinstance(op.operation, ConfiguredWrapper) else op.operation
    is_activation = keras.activations.softmax in (bare, getattr(bare, "activation", None))
    # Keras does not export the class of its operation.
    return is_activation or type(bare).__name__ == "Softmax"
