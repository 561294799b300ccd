"""The figures that papers print, each with its source, to put beside one's own.

Facts of sections 8.1 to 8.7 of method.md, in the JSON files here; nothing is computed from
them but checks. Start from `published`.
"""

from qtdog_tf.published.figures import Figure, printed_average, published
from qtdog_tf.published.reading import AVERAGE, SOURCE, TARGET

__all__ = ["AVERAGE", "SOURCE", "TARGET", "Figure", "printed_average", "published"]
