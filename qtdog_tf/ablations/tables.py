"""The rows of every table of the paper's ablations, on the embedded data. Start from `TABLES`."""

from qtdog_tf.ablations.comparison import comparison
from qtdog_tf.ablations.types import AblationRow, AblationTable, Paper

_QTDOG, _NOISE = "QT-DoG", "noise"
# K in percent of all steps, and in steps of the paper.
_STARTS = {20: 1000, 40: 2000, 60: 3000, 80: 4000}
_AMPLITUDES = ("1e-4", "5e-5", "1e-5", "5e-6")


def _combinations() -> AblationTable:
    rows = [AblationRow("ERM", "base", "erm", Paper("bits", "ERM"))]
    rows.append(AblationRow("QT-DoG", "base", "qtdog7", Paper("bits", _QTDOG, 7)))
    for name in ("CORAL", "MixStyle"):
        experiment = f"combinations_{name.lower()}"
        combined = f"{name} + {_QTDOG}"
        rows.append(AblationRow(name, experiment, "erm", Paper("combinations", name)))
        paper = Paper("combinations", combined, 7)
        rows.append(AblationRow(combined, experiment, "qtdog7", paper))
    title = "Combinations with other methods"
    return AblationTable("combinations", title, "8.3", tuple(rows), "ERM", fixed=("algorithm",))


def _bits() -> AblationTable:
    rows = [AblationRow("ERM, 32 bits", "bits", "erm", Paper("bits", "ERM"))]
    for bits in range(8, 1, -1):
        paper = Paper("bits", _QTDOG, bits)
        rows.append(AblationRow(f"QT-DoG, {bits} bits", "bits", f"qtdog{bits}", paper))
    return AblationTable("bits", "Bits of the weights", "8.4", tuple(rows), rows[0].label)


def _quantizer() -> AblationTable:
    rows = (
        AblationRow("none (ERM)", "quantizer", "erm", Paper("quantizer", "ERM")),
        AblationRow("PTQ, OBC", "quantizer", "ptq_obc7", Paper("quantizer", "PTQ (OBC)", 7)),
        AblationRow("PTQ, round to nearest", "quantizer", "ptq_rtn7"),
        AblationRow("INQ", "quantizer", "inq7", Paper("quantizer", "INQ", 7)),
        AblationRow("LSQ (QT-DoG)", "quantizer", "qtdog7", Paper("quantizer", _QTDOG, 7)),
    )
    return AblationTable("quantizer", "Quantizer, at 7 bits", "8.5", rows, "none (ERM)")


def _granularity() -> AblationTable:
    papers = [Paper("granularity", _QTDOG, 7, {"per_channel": each}) for each in (False, True)]
    rows = (
        AblationRow("one a layer", "granularity_layer", "qtdog7", papers[0]),
        AblationRow("one a channel", "base", "qtdog7", papers[1]),
    )
    fixed = ("per_channel",)
    return AblationTable("granularity", "Step sizes", "8.5", rows, "one a channel", fixed=fixed)


def _start_step() -> AblationTable:
    rows = []
    for percent, step in _STARTS.items():
        experiment = "base" if percent == 40 else f"start_step_{percent}"
        paper = Paper("start_step", _QTDOG, 7, {"quantize_step": step})
        rows.append(AblationRow(f"{percent} % of the steps", experiment, "qtdog7", paper))
    title = "Start of quantization (step K)"
    # K stands in steps in the flagfiles.
    fixed = ("quantize_step", "steps")
    return AblationTable("start_step", title, "8.5", tuple(rows), "40 % of the steps", fixed=fixed)


def _uniform_noise() -> AblationTable:
    experiment = "uniform_noise"
    rows = [AblationRow("ERM", experiment, "erm", Paper("bits", "ERM"))]
    for text in _AMPLITUDES:
        paper = Paper("uniform_noise", _NOISE, 32, {"noise_amplitude": float(text)})
        rows.append(AblationRow(f"a = {text}", experiment, f"uniform{text}", paper))
    rows.append(AblationRow("a = half a step size at 7 bits", experiment, "noise7"))
    rows.append(AblationRow("QT-DoG, 7 bits", experiment, "qtdog7", Paper("bits", _QTDOG, 7)))
    title = "Uniform noise in [-a, a) on the weights"
    return AblationTable("uniform_noise", title, "8.5", tuple(rows), "ERM")


def _in_domain() -> AblationTable:
    def row(
        label: str, variant: str, model: str = "", experiment: str = "in_domain"
    ) -> AblationRow:
        paper = Paper("in_domain", label, 7 if label == _QTDOG else 32)
        return AblationRow(label, experiment, variant, paper, model)

    rows = (
        row("ERM", "erm", "selected"),
        row("SAM", "erm", "selected", "in_domain_sam"),
        row("SWA", "erm", "last_swa"),
        row("SMA", "erm", "selected_sma"),
        row("SWAD", "erm", "last_swad"),
        row(_QTDOG, "qtdog7"),
    )
    title = "In the domains trained on (60 % training, 20 % validation, 20 % test)"
    fixed = ("algorithm", "in_domain_test", "holdout")
    return AblationTable("in_domain", title, "8.6", rows, "ERM", in_domain=True, fixed=fixed)


def _backbones() -> AblationTable:
    rows = [
        AblationRow("EfficientNet-Lite0, ERM", "base", "erm", model="selected"),
        AblationRow("EfficientNet-Lite0, SMA", "base", "erm", model="selected_sma"),
        AblationRow("EfficientNet-Lite0, QT-DoG", "base", "qtdog7"),
    ]
    for name, table in (("DeiT-Small", "deit_small"), ("ResNeXt-50", "resnext50")):
        experiment = f"backbones_{table}"
        erm, qtdog = Paper(table, "ERM"), Paper(table, _QTDOG, 7)
        rows.append(AblationRow(f"{name}, ERM", experiment, "erm", erm, "selected"))
        rows.append(AblationRow(f"{name}, QT-DoG", experiment, "qtdog7", qtdog, "selected"))
    rows += _of_resnext()
    fixed = ("backbone", "weights", "quantize_dense")
    return AblationTable("backbones", "Backbones", "8.7", tuple(rows), rows[0].label, fixed=fixed)


def _of_resnext() -> list[AblationRow]:
    """What the paper has of ResNeXt-50 alone: the moving average, and ensembles."""
    table, sma = "resnext50", "selected_sma"
    single, pool = f"backbones_{table}", f"backbones_{table}_pool"

    def pooled(method: str, variant: str, bits: int, model: str) -> AblationRow:
        paper = Paper(table, method, bits)
        label = f"ResNeXt-50, {method} (5)"
        return AblationRow(label, pool, variant, paper, model, pooled=True)

    return [
        AblationRow("ResNeXt-50, SMA", single, "erm", Paper(table, "SMA"), sma),
        pooled("ERM Ens", "erm", 32, "selected"),
        pooled("EoA", "erm", 32, sma),
        pooled("EoQ", "qtdog7", 7, "selected"),
    ]


_TABLES = (
    _combinations(),
    _bits(),
    _quantizer(),
    _granularity(),
    _start_step(),
    _uniform_noise(),
    _in_domain(),
    _backbones(),
    comparison(),
)
TABLES: dict[str, AblationTable] = {table.name: table for table in _TABLES}
