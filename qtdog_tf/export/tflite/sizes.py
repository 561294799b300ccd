"""How large a file is, on disk and by every account that is in use.

Start with `measure_sizes`.
"""

import dataclasses
import zlib
from pathlib import Path

import keras

from qtdog_tf.export.graph import ops
from qtdog_tf.quantization.size import mean_entropy, model_size

FLOAT_BITS = 32


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of a file and of the model that it was made of.

    Attributes:
        bytes: of the file on disk.
        deflated_bytes: of the file compressed by zip's deflate, as app stores do.
        entropy_bits: bits a learned code that an ideal entropy coder needs, with one table of
            codes a layer; None without learned codes.
        bits: the largest bit width of learned codes; 32 without any.
        paper_ratio: the paper's compression, 32 / bits.
        packed_bytes: codes packed to their bits; step sizes, BatchNorm, head in float32.
        packed_ratio: the float model's bytes over `packed_bytes`.
        folded_packed_bytes: the same with BatchNorm folded into the scales.
        folded_ratio: the float model's bytes over `folded_packed_bytes`.
        float_bytes: every weight of the float model in float32.
    """

    bytes: int
    deflated_bytes: int
    entropy_bits: float | None
    bits: int
    paper_ratio: float
    packed_bytes: int
    packed_ratio: float
    folded_packed_bytes: int
    folded_ratio: float
    float_bytes: int


def measure_sizes(path: Path, graph: ops.Graph, model: keras.Model) -> Sizes:
    """Measures a file.

    Args:
        path: the file.
        graph: the folded graph, with the codes as learned.
        model: the Keras model.
    """
    contents = Path(path).read_bytes()
    learned = [conv.kernel for conv in graph.convs if conv.kernel.learned]
    codes = [kernel.codes for kernel in learned if kernel.codes is not None]
    bits = max((kernel.bits for kernel in learned), default=FLOAT_BITS)
    packed, folded = model_size(model), model_size(model, fold_batch_norm=True)
    return Sizes(
        bytes=len(contents),
        deflated_bytes=len(zlib.compress(contents, level=9)),
        entropy_bits=mean_entropy(codes) if codes else None,
        bits=bits,
        paper_ratio=FLOAT_BITS / bits,
        packed_bytes=packed.packed_bytes,
        packed_ratio=packed.ratio,
        folded_packed_bytes=folded.packed_bytes,
        folded_ratio=folded.ratio,
        float_bytes=packed.float_bytes,
    )
