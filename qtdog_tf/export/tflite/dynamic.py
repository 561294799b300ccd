"""Puts learned codes into a float file: int8 weights, float activations.

The converter's own dynamic-range quantization takes max|w| / 127 as the scale of a channel, so its
codes are not the learned ones. Here the weights of a float32 file are replaced by the codes and
their scales. LiteRT then quantizes the activations of each image on the fly.

Start with `store_codes`.
"""

from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from qtdog_tf.errors import UserError
from qtdog_tf.export.graph import ops
from qtdog_tf.export.tflite.flatbuffer_file import pack_model, read_model
from qtdog_tf.export.tflite.layers_of_file import find_convolutions, weight_codes
from qtdog_tf.files import replacing

# The first versions of these operations whose kernels take float inputs with int8 weights that
# have a scale for each channel.
_VERSIONS = {
    schema.BuiltinOperator.CONV_2D: 5,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: 6,
}


def store_codes(path: Path, graph: ops.Graph) -> None:
    """Replaces float weights in a file by codes, in one go.

    Args:
        path: a float32 .tflite file, made of `graph`.
        graph: every convolution has codes.

    Raises:
        UserError: if the file does not hold the graph's weights.
    """
    model = read_model(path)
    found = find_convolutions(model, graph, allow_others=True)
    for conv in graph.convs:
        weights = weight_codes(model, found[conv.name], conv.is_depthwise)
        if not np.array_equal(weights, conv.kernel.to_float()):
            raise UserError(
                f"the converter multiplied a constant factor beside layer {conv.layer} into its "
                "weights, which are no learned codes then: write the factor as a "
                "keras.layers.Rescaling, which export folds into the step sizes"
            )
    for conv in graph.convs:
        _store(model, found[conv.name].weights, conv)
    for code in model.operatorCodes:
        code.version = max(code.version, _VERSIONS.get(code.builtinCode, 1))
    with replacing(path) as temporary:
        temporary.write_bytes(pack_model(model))


def _store(model: Any, tensor: Any, conv: ops.Conv) -> None:
    codes = conv.kernel.codes
    assert codes is not None
    # [h, w, in, out] here; [out, h, w, in] in the file, and [1, h, w, out] if depthwise.
    stored = codes if conv.is_depthwise else np.moveaxis(codes, -1, 0)
    stored = stored[..., 0, :][None] if conv.is_depthwise else stored
    data = np.frombuffer(np.ascontiguousarray(stored, np.int8).tobytes(), np.uint8)
    if sum(other.buffer == tensor.buffer for other in model.subgraphs[0].tensors) > 1:
        # The converter stores equal constants once; their codes need not be equal.
        model.buffers.append(schema.BufferT())
        tensor.buffer = len(model.buffers) - 1
    model.buffers[tensor.buffer].data = data
    tensor.type = schema.TensorType.INT8
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale = conv.kernel.scale.astype(np.float32)
    tensor.quantization.zeroPoint = np.zeros(len(conv.kernel.scale), np.int64)
    tensor.quantization.quantizedDimension = 3 if conv.is_depthwise else 0
