"""The picture of one analysis of one model. Start from `draw_analysis`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qtdog_tf.pictures.attention import draw_attention
from qtdog_tf.pictures.code_use import draw_code_use
from qtdog_tf.pictures.curves import draw_curves
from qtdog_tf.pictures.flatness import draw_flatness
from qtdog_tf.pictures.noise import draw_noise
from qtdog_tf.pictures.reliability import draw_reliability

Values = Mapping[str, Any]


def draw_analysis(values: Values, path: Path, classes: Sequence[str]) -> None:
    """Draws the figures of an analysis, if there is a picture of such figures.

    A table says more of curvature and of the effect of noise, which are a few numbers; noise and
    codes of a float model are none.

    Args:
        values: what `Record.describe` returned.
        path: the .svg or .png file.
        classes: names of the run's classes.
    """
    draw = _DRAW.get(values["analysis"])
    if draw is not None and _has_content(values["analysis"], values["result"]):
        draw(values["method"], values["result"], path, classes)


def _has_content(analysis: str, result: Values) -> bool:
    if analysis in ("noise", "code_use"):
        return any(layer["bits"] is not None for layer in result["layers"])
    return True


def _reliability(method: str, result: Values, path: Path, classes: Sequence[str]) -> None:
    targets = [d for d in result["domains"] if d["role"] == "target"]
    shown = targets or [d for d in result["domains"] if d["part"] == "out"]
    draw_reliability({method: shown}, path, "target" if targets else "source validation")


_DRAW: dict[str, Callable[[str, Values, Path, Sequence[str]], None]] = {
    "stability": lambda method, result, path, _: draw_curves(
        {f"{method}, {kind}": [curve] for kind, curve in result["weights"].items()},
        path,
        result["start"],
    ),
    "code_use": lambda method, result, path, _: draw_code_use({method: result["layers"]}, path),
    "noise": lambda method, result, path, _: draw_noise(result["layers"], path),
    "calibration": _reliability,
    "grad_cam": lambda method, result, path, classes: draw_attention(
        result["images"], path, classes
    ),
    "flatness": lambda method, result, path, _: draw_flatness({method: [result]}, path),
}
