"""What rows and curves are called: method, and the average of its weights. See `method_name`."""

import re
from collections.abc import Iterable

from qtdog_tf.errors import UserError
from qtdog_tf.records import RAW, SMA
from qtdog_tf.training.selection import LAST, SOURCE_VALIDATION
from qtdog_tf.training.variants import INQ, Variant, parse_variant, split_member

BASELINE = "ERM"
_ALGORITHMS = {
    "coral": "CORAL",
    "distill": "distilled",
    "erm": BASELINE,
    "fish": "Fish",
    "fishr": "Fishr",
    "groupdro": "GroupDRO",
    "irm": "IRM",
    "mixstyle": "MixStyle",
    "mixup": "Mixup",
    "mldg": "MLDG",
    "mmd": "MMD",
    "rsc": "RSC",
    "sagm": "SAGM",
    "sagnet": "SagNet",
    "sam": "SAM",
    "saqat": "SAGM-freeze",
    "vrex": "VREx",
}
# In this order they stand in tables, and their styles follow it.
_ORDER = (
    *(BASELINE, *_ALGORITHMS.values(), "SMA", "SWA", "SWAD"),
    *("QT-DoG", "frozen", "DiWA", "EoA", "EoQ", "ensemble", "INQ", "PTQ", "noise"),
)
_EOA, _DIWA, _ENSEMBLE = "EoA", "diwa_", "_ensemble"
_AVERAGES = {"diwa": "DiWA", "eoa": _EOA, "erm_ensemble": "ERM ensemble"}
_PTQ = re.compile(r"ptq_(rtn|obc)(\d)")


def method_name(algorithm: str, variant: str) -> str:
    """The name of what a run was trained by.

    Args:
        algorithm: the training method, "sam" for example.
        variant: what happened from step K on, "qtdog7" for example, or the name of an ensemble.

    Returns:
        "ERM", "SAM", "QT-DoG 7 bits", "SAM + QT-DoG 7 bits", "frozen at K, 7 bits", "EoQ 7 bits",
        "EoA", "DiWA", "DiWA of QT-DoG 7 bits", "ensemble of frozen at K, 5 bits", "INQ 5 bits",
        "PTQ (OBC) 7 bits", "noise as of 7 bits", "noise in +-1e-4".
    """
    trained = _ALGORITHMS.get(algorithm, algorithm)
    base, member = split_member(variant)
    suffix = f" (m{member})" if member else ""
    averaged = _name_of_average(base)
    if averaged is not None:
        return _combined(trained, averaged)
    after_training = _PTQ.fullmatch(base)
    if after_training:
        what = f"PTQ ({after_training[1].upper()}) {after_training[2]} bits"
        return _combined(trained, what) + suffix
    try:
        parsed = parse_variant(base)
    except UserError:
        return _combined(trained, variant)
    if parsed.is_erm:
        return trained + suffix
    return _combined(trained, _what_happened(parsed)) + suffix


def average_name(method: str, weights: str) -> str:
    """The name of an average of a method's weights: "SWAD" of ERM, else "SAM + SWAD".

    EoA is an ensemble of such averages by its name.
    """
    if method.endswith(_EOA) and weights == SMA:
        return method
    return _combined(method, weights.upper())


def reference_name(names: Iterable[str], baseline: str) -> str | None:
    """The name of the baseline among those of models: its own, or that of its moving average."""
    found = set(names)
    candidates = (baseline, average_name(baseline, SMA))
    return next((name for name in candidates if name in found), None)


def row_of_model(model: str) -> str:
    """The row of a summary that reports a model: "sma/source_validation" for "selected_sma"."""
    choice, _, weights = model.partition("_")
    rule = {"selected": SOURCE_VALIDATION, "last": LAST}.get(choice, choice)
    return f"{weights or RAW}/{rule}"


def rank(method: str) -> tuple[int, int, str]:
    """Sorts names: single methods in the order of the literature, then combinations."""
    place = next((i for i, start in enumerate(_ORDER) if method.startswith(start)), len(_ORDER))
    return (" + " in method, place, method)


def weights_name(weights: str) -> str:
    """The kind of weights in words."""
    return {RAW: "as trained", SMA: "moving average"}.get(weights, weights.upper())


def rule_name(row: str) -> str:
    """A row of a summary in words: "moving average, selected on source validation"."""
    weights, _, rule = row.partition("/")
    how = {
        SOURCE_VALIDATION: "selected on source validation",
        LAST: "last step",
        "oracle": "oracle (looks at the target: no fair result)",
    }
    return f"{weights_name(weights)}, {how.get(rule, rule)}"


def _name_of_average(variant: str) -> str | None:
    """The name of an average of several runs; None if it is none."""
    if variant in _AVERAGES:
        return _AVERAGES[variant]
    if variant.startswith("eoq") and variant[3:].isdigit():
        return f"EoQ {variant[3:]} bits"
    if variant.startswith(_DIWA):
        return f"DiWA of {method_name('erm', variant.removeprefix(_DIWA))}"
    if variant.endswith(_ENSEMBLE):
        return f"ensemble of {method_name('erm', variant.removesuffix(_ENSEMBLE))}"
    return None


def _what_happened(variant: Variant) -> str:
    bits = f"{variant.bits} bits" if variant.quantized else "float"
    if variant.noise_amplitude is not None:
        return f"noise in +-{variant.base.removeprefix('uniform')}"
    if variant.noise_bits is not None:
        return f"noise as of {variant.noise_bits} bits"
    if variant.mode == INQ:
        return f"INQ {bits}"
    return f"frozen at K, {bits}" if variant.mode.startswith("frozen") else f"QT-DoG {bits}"


def _combined(trained: str, what: str) -> str:
    return what if trained == BASELINE else f"{trained} + {what}"
