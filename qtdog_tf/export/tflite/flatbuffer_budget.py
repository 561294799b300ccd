"""Refuses flatbuffers that unfold to far more objects than their bytes can hold.

Offsets in a flatbuffer may point to one table many times, and to tables of such offsets: a file of
a megabyte that unpacks to a terabyte of Python objects. Here tables and texts are counted before
anything is made of them. Start from `check_budget`.
"""

from typing import Any

from ai_edge_litert import schema_py_generated as schema

# The smallest table, and the offset to it.
_TABLE_BYTES = 8
# Texts may be shared: converters write equal names once.
_SHARED = 4


def check_budget(contents: bytes) -> None:
    """Counts what unpacking a model would make.

    Args:
        contents: a .tflite file.

    Raises:
        ValueError: if it is more than the file can hold.
        struct.error, IndexError: or another of `flatbuffer_file.DAMAGE`, if an offset is wrong.
    """
    budget = _Budget(len(contents))
    model = schema.Model.GetRootAs(contents)
    budget.spend(model.BuffersLength(), model.MetadataBufferLength())
    for number in range(budget.spend(model.OperatorCodesLength())):
        budget.texts(model.OperatorCodes(number).CustomCode())
    for number in range(budget.spend(model.MetadataLength())):
        budget.texts(model.Metadata(number).Name())
    for number in range(budget.spend(model.SignatureDefsLength())):
        signature = model.SignatureDefs(number)
        budget.texts(signature.SignatureKey())
        for item in range(budget.spend(signature.InputsLength())):
            budget.texts(signature.Inputs(item).Name())
        for item in range(budget.spend(signature.OutputsLength())):
            budget.texts(signature.Outputs(item).Name())
    for number in range(budget.spend(model.SubgraphsLength())):
        _count_graph(model.Subgraphs(number), budget)


def _count_graph(graph: Any, budget: "_Budget") -> None:
    budget.texts(graph.Name())
    for number in range(budget.spend(graph.TensorsLength())):
        tensor = graph.Tensors(number)
        budget.texts(tensor.Name())
        budget.spend(tensor.VariantTensorsLength())
    budget.spend(graph.OperatorsLength())


class _Budget:
    """Counts down."""

    def __init__(self, file_bytes: int) -> None:
        self._tables = file_bytes // _TABLE_BYTES
        self._text = _SHARED * file_bytes

    def spend(self, *tables: int) -> int:
        """Takes a number of tables, and returns it."""
        self._tables -= sum(tables)
        if self._tables < 0:
            raise ValueError("it unfolds to more tables than it can hold")
        return sum(tables)

    def texts(self, *texts: bytes | None) -> None:
        """Takes texts."""
        self._text -= sum(len(text) for text in texts if text)
        if self._text < 0:
            raise ValueError("it unfolds to more text than it can hold")
