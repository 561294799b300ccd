"""Pictures of analyses: what they show, that they can be read on any ground, and repeat."""

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from PIL import Image

from qtdog_tf.errors import UserError
from qtdog_tf.pictures import svg
from qtdog_tf.pictures.analyses import draw_analysis
from qtdog_tf.pictures.attention import draw_attention, overlay, read_square
from qtdog_tf.pictures.code_use import code_use_panels, draw_code_use, svg_code_use
from qtdog_tf.pictures.curves import curve_panels, draw_curves, mean_curve, svg_curves
from qtdog_tf.pictures.flatness import (
    draw_flatness,
    flatness_panels,
    mean_flatness,
    svg_flatness,
)
from qtdog_tf.pictures.forest import draw_forest, forest_panel, svg_forest
from qtdog_tf.pictures.noise import draw_noise, noise_panels, svg_noise, typical_layers
from qtdog_tf.pictures.plane import contour_levels, draw_plane, plane_panels, svg_plane
from qtdog_tf.pictures.reliability import (
    coverage_panel,
    draw_reliability,
    pooled_ece,
    reliability_panel,
    svg_reliability,
)
from qtdog_tf.pictures.scatter import draw_scatter, scatter_panel, svg_scatter
from qtdog_tf.pictures.series import COLOURS, DARK_GROUND, INK, LIGHT_GROUND, styles_for
from tests import analysis_fixtures as made

HOSTILE = "<script>alert(1)</script>\"&'$x_1$ url(#i0) #010203 \u202e\ud800" + "n" * 300
RNG = np.random.default_rng(0)
FLATNESS = {
    name: [made.flatness_result(RNG, values[3], quantized=True) for _ in range(3)]
    for name, values in made.METHODS.items()
}
CURVES = {name: [made.stability_result(RNG)["weights"]["raw"]] * 2 for name in made.METHODS}
NOISE = made.noise_result(RNG, 7, 5)["layers"]
CODES = {f"QT-DoG {bits} bits": made.code_use_result(RNG, bits, 9)["layers"] for bits in (7, 4)}
DOMAINS = {name: made.calibration_result(RNG, "line")["domains"][-1:] for name in made.METHODS}
POINTS = [{"method": name, "x": 0.1 * i, "y": 0.5} for i, name in enumerate(made.METHODS)]
ROWS = [{"name": name, "value": i - 1.0, "error": None} for i, name in enumerate(made.METHODS)]
PLANE = made.plane_result()

DRAWN: dict[str, Callable[[Path], None]] = {
    "curves": lambda path: draw_curves(CURVES, path, start=40),
    "flatness": lambda path: draw_flatness(FLATNESS, path),
    "forest": lambda path: draw_forest(ROWS, path, "Difference", "points", zero=True),
    "noise": lambda path: draw_noise(NOISE, path),
    "codes": lambda path: draw_code_use(CODES, path),
    "plane": lambda path: draw_plane(PLANE, path),
    "reliability": lambda path: draw_reliability(DOMAINS, path, "target"),
    "scatter": lambda path: draw_scatter(POINTS, path, "Flat and good", "F", "r = 0"),
}
PAGE: dict[str, Callable[[], str]] = {
    "curves": lambda: svg_curves(CURVES, start=40),
    "flatness": lambda: svg_flatness(FLATNESS),
    "forest": lambda: svg_forest(ROWS, "Difference", "points", zero=True),
    "noise": lambda: svg_noise(NOISE[:1]),
    "codes": lambda: svg_code_use(CODES),
    "plane": lambda: svg_plane(PLANE),
    "reliability": lambda: svg_reliability(DOMAINS, "target"),
    "scatter": lambda: svg_scatter(POINTS, "Flat and good", "F", "r = 0"),
}


def drawings(page: str) -> list[ET.Element]:
    return list(ET.fromstring(f"<page>{page}</page>"))


@pytest.mark.parametrize("name", DRAWN)
def test_files_are_whole_and_repeat(tmp_path: Path, name: str) -> None:
    for suffix in (".svg", ".png"):
        path = tmp_path / "new" / f"{name}{suffix}"
        DRAWN[name](path)
        first = path.read_bytes()
        DRAWN[name](path)
        assert path.read_bytes() == first
    with Image.open(path) as picture:
        assert min(picture.size) > 200
    root = ET.parse(path.with_suffix(".svg")).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert sorted(p.suffix for p in path.parent.iterdir()) == [".png", ".svg"]


@pytest.mark.parametrize("name", PAGE)
def test_drawings_in_a_page_take_its_ink_and_font(name: str) -> None:
    page = PAGE[name]()
    assert PAGE[name]() == page
    assert INK not in page and "DejaVu" not in page and "currentColor" in page
    for drawing in drawings(page):
        assert drawing.get("role") == "img" and drawing.get("aria-label")
        title, description = drawing[0], drawing[1]
        assert title.tag.endswith("title") and title.text == drawing.get("aria-label")
        assert description.tag.endswith("desc") and len(description.text or "") > 40
        _, _, width, height = map(float, drawing.get("viewBox", "").split())
        assert width < 310 and height < 330
        ids = [element.get("id") for element in drawing.iter() if element.get("id")]
        assert len(set(ids)) == len(ids)
        assert {"date", "metadata", "style"}.isdisjoint(
            element.tag.rpartition("}")[2] for element in drawing.iter()
        )


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must end in \.svg or \.png"):
        draw_plane(PLANE, tmp_path / "plane.jpg")
    assert not list(tmp_path.iterdir())


def test_names_from_outside_are_text() -> None:
    layer = {**NOISE[0], "name": HOSTILE}
    plane = {**PLANE, "points": [{"label": HOSTILE, "x": 1.0, "y": 2.0}]}
    pages = [
        svg_curves({HOSTILE: CURVES["ERM"]}),
        svg_flatness({HOSTILE: FLATNESS["ERM"]}),
        svg_forest([{"name": HOSTILE, "value": 1.0, "error": 0.5}], HOSTILE, HOSTILE),
        svg_noise([layer]),
        svg_code_use({HOSTILE: CODES["QT-DoG 7 bits"]}),
        svg_plane(plane),
        svg_reliability({HOSTILE: DOMAINS["ERM"]}, HOSTILE),
        svg_scatter([{"method": HOSTILE, "x": 1.0, "y": 0.5}], HOSTILE, HOSTILE),
    ]
    for page in pages:
        page.encode("utf-8")
        for drawing in drawings(page):
            tags = {element.tag.rpartition("}")[2] for element in drawing.iter()}
            assert tags <= {"svg", "title", "desc", "defs", "g", "path", "use", "text", "tspan"} | {
                "clipPath",
                "rect",
            }
    assert "<script>alert(1)</script>" in "".join(ET.fromstring(f"<p>{pages[2]}</p>").itertext())


@pytest.mark.parametrize(
    "panel",
    [
        *curve_panels({"A method of a long name": CURVES["ERM"]}, 40),
        *flatness_panels(FLATNESS, "filter", "rerounded"),
        forest_panel(ROWS, "Difference to a method", "percentage points of target accuracy", True),
        *noise_panels(NOISE[:1]),
        *code_use_panels(CODES),
        *plane_panels(
            {
                **PLANE,
                "points": [{"label": "o/line-trial0/qtdog7, selected_swad"} | {"x": 1.0, "y": 1.0}]
                * 3,
            }
        ),
        reliability_panel(DOMAINS, "source validation"),
        coverage_panel(DOMAINS, "source validation"),
        scatter_panel(POINTS, "Training flatness, accuracy", "F at 40", "Pearson, Spearman"),
    ],
    ids=lambda panel: panel.title,
)
def test_all_text_is_inside_the_picture(panel: svg.Panel) -> None:
    figure = svg._draw([panel], 1, {}, page=True)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    labels = [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label]
    legend = axes.get_legend()
    labels += [axes._left_title, *axes.texts, *(legend.get_texts() if legend else [])]
    for label in labels:
        box = label.get_window_extent()
        if label.get_text() and label.get_visible():
            width, height = figure.bbox.size
            inside = box.x0 > -2 and box.y0 > -2 and box.x1 < width + 2 and box.y1 < height + 2
            # Ticks beyond the limits are not drawn.
            assert inside or label in axes.get_xticklabels() + axes.get_yticklabels(), label


def luminance(colour: str) -> float:
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_colours_stand_out_on_light_and_dark() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert COLOURS[0] == INK  # the page's own
    for colour in COLOURS[1:]:
        assert contrast(colour, LIGHT_GROUND) >= 3 and contrast(colour, DARK_GROUND) >= 3, colour


def test_no_two_of_35_series_look_alike() -> None:
    styles = list(styles_for(map(str, range(35))).values())
    assert len({(style.colour, style.marker) for style in styles}) == 35
    # Without colour, neighbours differ by marker and by line.
    for one, other in itertools.pairwise(styles):
        assert one.marker != other.marker and one.dashes != other.dashes


def test_curves_are_means_over_the_steps_that_all_runs_have() -> None:
    runs = [
        {"steps": [0, 10, 20], "source": [0.1, 0.5, 0.7], "target_in": []},
        {"steps": [0, 20, 30], "source": [0.3, 0.9, 0.9], "target_in": []},
    ]
    steps, mean, error = mean_curve(runs, "source")
    assert steps.tolist() == [0, 20]
    np.testing.assert_allclose(mean, [0.2, 0.8])
    # Deviation 0.1 of two values, over the root of 2.
    np.testing.assert_allclose(error, [0.1 / np.sqrt(2)] * 2)
    assert not len(mean_curve(runs, "target_in")[0])
    assert len(curve_panels({"ERM": runs})) == 1


def test_flatness_is_averaged_over_runs() -> None:
    _, mean, error = mean_flatness(FLATNESS["ERM"], "target", "filter")
    values = np.array(
        [
            next(
                c["mean"]
                for c in r["curves"]
                if c["role"] == "target" and c["direction"] == "filter"
            )
            for r in FLATNESS["ERM"]
        ]
    )
    np.testing.assert_allclose(mean, values.mean(axis=0))
    np.testing.assert_allclose(error, values.std(axis=0) / np.sqrt(3))
    _, _, alone = mean_flatness(FLATNESS["ERM"][:1], "target", "filter")
    np.testing.assert_allclose(alone, 0.05 * values[0])


def test_a_float_model_has_no_lattice_and_its_curve_stands_for_both() -> None:
    plain = made.flatness_result(np.random.default_rng(1), 1.0, quantized=False)
    dequantized = mean_flatness([plain], "source")
    np.testing.assert_array_equal(
        mean_flatness([plain], "source", weights="rerounded"), dequantized
    )
    assert flatness_panels({"ERM": [plain]}, direction="none") == []


@pytest.mark.parametrize("kind", [("filter", "dequantized"), ("raw", "rerounded"), None])
def test_the_picture_of_flatness_is_of_the_kinds_that_were_measured(
    tmp_path: Path, kind: tuple[str, str] | None
) -> None:
    whole = FLATNESS["ERM"][0]
    chosen = [c for c in whole["curves"] if kind in (None, (c["direction"], c["weights"]))]
    values = {"analysis": "flatness", "method": "ERM", "result": {**whole, "curves": chosen}}
    draw_analysis(values, tmp_path / "flatness.svg", made.CLASSES)
    text = (tmp_path / "flatness.svg").read_text()
    titles = {
        "F on the target, raw directions": ("raw", "dequantized"),
        "F on the target, filter directions": ("filter", "dequantized"),
        "F on the target, raw, rerounded": ("raw", "rerounded"),
        "F on the target, filter, rerounded": ("filter", "rerounded"),
    }
    assert {t for t in titles if f">{t}<" in text} == {
        t for t, of in titles.items() if kind in (None, of)
    }


def test_a_result_without_curves_makes_no_picture(tmp_path: Path) -> None:
    draw_flatness({"ERM": [{**FLATNESS["ERM"][0], "curves": []}]}, tmp_path / "flatness.svg")
    assert not list(tmp_path.iterdir())


def test_layers_at_even_places_by_their_divergence() -> None:
    layers = [{**NOISE[0], "kl": float(kl)} for kl in (3, 1, 4, 0, 2)]
    assert [layer["kl"] for layer in typical_layers(layers, 3)] == [0, 2, 4]
    assert len(typical_layers(layers, 9)) == 5


def test_noise_of_no_width_is_drawn() -> None:
    """A layer whose weights lie on the lattice."""
    flat = {"edges": [0.0] * 51, "density": [0.0] * 50}
    layer = {**NOISE[0], "histogram": flat, "symmetry": {"lower": [], "upper": []}}
    assert len(drawings(svg_noise([layer]))) == 2


@settings(max_examples=30)
@given(st.lists(st.floats(-1, 50, allow_nan=False), min_size=2, max_size=9))
def test_levels_lie_between_the_extremes_by_equal_factors(losses: list[float]) -> None:
    levels = contour_levels(np.array(losses), 7)
    low, high = max(min(losses), 1e-6), max(max(losses), 1e-6)
    if not len(levels):
        assert high <= low * (1 + 1e-9)
        return
    assert len(levels) == 7 and low < levels[0] and levels[-1] < high
    np.testing.assert_allclose(levels[1:] / levels[:-1], (high / low) ** (1 / 8), rtol=1e-6)


def test_calibration_error_of_several_domains_is_that_of_their_images() -> None:
    def domain(images: int, accuracy: float, confidence: float) -> dict[str, Any]:
        full = {"images": images, "accuracy": accuracy, "confidence": confidence}
        empty = {"low": 0.0, "images": 0, "accuracy": None, "confidence": None}
        return {"reliability": [empty, {"low": 0.5, **full}]}

    # 30 images of a bin: accuracy (10 * 0.5 + 20 * 0.8) / 30 = 0.7, confidence 0.8.
    both = [domain(10, 0.5, 0.6), domain(20, 0.8, 0.9)]
    assert pooled_ece(both) == pytest.approx(0.1)
    assert np.isnan(pooled_ece([]))


def test_heat_is_laid_over_an_image(tmp_path: Path) -> None:
    grey = np.full((8, 8, 3), 100, np.uint8)
    warm = overlay(grey, np.array([[1.0, 1.0], [0.0, 0.0]]), strength=0.5)
    assert warm.shape == grey.shape and warm.dtype == np.uint8
    # Jet's ends are dark red and dark blue: half of 100 and half of 128.
    np.testing.assert_array_equal(warm[0, 0], [114, 50, 50])
    np.testing.assert_array_equal(warm[-1, -1], [50, 50, 114])
    np.testing.assert_array_equal(overlay(grey, [[0.3]], strength=0.0), grey)
    assert read_square(str(tmp_path / "gone.png")) is None
    (tmp_path / "text.png").write_text("no image")
    assert read_square(str(tmp_path / "text.png")) is None
    assert read_square("a\0b") is read_square("/dev/zero") is read_square("\ud800") is None


def test_maps_are_drawn_beside_their_images(tmp_path: Path) -> None:
    photos = made.write_photos(tmp_path / "photos", per_class=2)
    images = made.grad_cam_result(np.random.default_rng(0), "line", photos)["images"][:2]
    images[1] |= {"path": str(tmp_path / "gone.png"), "truth": 1, "predicted": 0}
    draw_attention(images, tmp_path / "maps.svg", made.CLASSES)
    text = (tmp_path / "maps.svg").read_text()
    assert text.count("<image") == 4 and "file is gone" in text and "class hand" in text
    draw_attention(images, tmp_path / "maps.png")
    with Image.open(tmp_path / "maps.png") as picture:
        assert picture.size[0] > picture.size[1] > 200
