"""Everything beside everything: one table, on one schedule, with averages and ensembles."""

from qtdog_tf.ablations.types import AblationRow, AblationTable, Paper

_QTDOG = "QT-DoG"
_PLAIN = "comparison"
_SELECTED = "selected"
_MAIN, _EOQ = f"{_QTDOG}, 7 bits", "EoQ(5)"


def comparison() -> AblationTable:
    """The table: single models, ensembles of one pool a target, and the bits column."""
    return AblationTable(
        _PLAIN,
        "Everything beside everything",
        "8.1 to 8.5",
        (*_float_rows(), *_qtdog_rows(), *_other_rows(), *_ensemble_rows(), *_bits_rows()),
        "ERM",
        data=("pacs",),
        against=(_MAIN, _EOQ),
        fixed=("algorithm", "teacher", "teacher_model"),
    )


def _row(
    label: str, variant: str, paper: Paper | None = None, model: str = _SELECTED
) -> AblationRow:
    return AblationRow(label, _PLAIN, variant, paper, model)


def _method(name: str, variant: str, label: str, paper: Paper) -> AblationRow:
    return AblationRow(label, f"{_PLAIN}_{name}", variant, paper, _SELECTED)


def _float_rows() -> list[AblationRow]:
    return [
        _row("ERM", "erm", Paper("bits", "ERM")),
        _row("SMA", "erm", Paper("main_sma", "SMA"), "selected_sma"),
        _row("SWA", "erm", None, "last_swa"),
        _row("SWAD", "erm", Paper("main", "SWAD"), "last_swad"),
        _method("sam", "erm", "SAM", Paper("main_sam", "SAM")),
        _method("coral", "erm", "CORAL", Paper("combinations", "CORAL")),
        _method("mixstyle", "erm", "MixStyle", Paper("combinations", "MixStyle")),
    ]


def _qtdog_rows() -> list[AblationRow]:
    combined = [
        _method(name.lower(), "qtdog7", label, Paper("combinations", label, 7))
        for name in ("CORAL", "MixStyle")
        for label in [f"{name} + {_QTDOG}"]
    ]
    return [
        _row(_MAIN, "qtdog7", Paper("bits", _QTDOG, 7)),
        _row("frozen at K, 7 bits", "frozen7"),
        _row("frozen at K, float", "frozen_float"),
        *combined,
        _row(f"SMA + {_QTDOG}", "qtdog7", None, "selected_sma"),
        _row(f"SWAD + {_QTDOG}", "qtdog7", None, "last_swad"),
    ]


def _other_rows() -> list[AblationRow]:
    """Other quantizers, and noise instead of one."""
    noise = Paper("uniform_noise", "noise", 32, {"noise_amplitude": 1e-4})
    return [
        _row("PTQ, round to nearest", "ptq_rtn7"),
        _row("PTQ, OBC", "ptq_obc7", Paper("quantizer", "PTQ (OBC)", 7)),
        _row("INQ, 7 bits", "inq7", Paper("quantizer", "INQ", 7)),
        _row("noise in +-1e-4", "uniform1e-4", noise),
        _row("noise as of 7 bits", "noise7"),
    ]


def _ensemble_rows() -> list[AblationRow]:
    pool, student = f"{_PLAIN}_pool", f"{_PLAIN}_distilled"

    def pooled(label: str, variant: str, paper: Paper | None, model: str) -> AblationRow:
        return AblationRow(label, pool, variant, paper, model, pooled=True)

    return [
        pooled("EoA(5)", "erm", Paper("main", "EoA"), "selected_sma"),
        pooled(_EOQ, "qtdog7", Paper("main", "EoQ", 7), _SELECTED),
        pooled(f"{_EOQ} + SMA", "qtdog7", None, "selected_sma"),
        # Their teacher is the row above.
        AblationRow(f"student of {_EOQ} + SMA", student, "qtdog7", None, "last"),
        AblationRow("the same student, SMA", student, "qtdog7", None, "last_sma"),
    ]


def _bits_rows() -> list[AblationRow]:
    return [
        _row(f"{_QTDOG}, {bits} bits", f"qtdog{bits}", Paper("bits", _QTDOG, bits))
        for bits in (8, 6, 5, 4, 3, 2)
    ]
