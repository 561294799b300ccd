"""Figures of analyses: panels that become files, or SVG inside a page. Start from `Panel`.

In a page the ground is transparent and the ink is the page's own (`currentColor`), so that a figure
follows the page from light to dark; text stays text, in the page's font. The same input gives the
same bytes. A panel is about as wide as a phone, so that its letters can be read there; on a wide
page panels stand side by side.
"""

import contextlib
import io
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from qtdog_tf.errors import UserError
from qtdog_tf.files import replacing
from qtdog_tf.pictures.canvas import new_figure, save_figure
from qtdog_tf.pictures.series import INK, Style

WIDTH, HEIGHT = 4.1, 3.0
SUFFIXES = (".svg", ".png")
# Letters that the width of a panel holds, of a key and of a title or label.
_LONGEST_NAME, LONGEST_TITLE = 30, 44
_KEY_LINE = 0.24  # inches
_RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "qtdog_tf",
    "text.parse_math": False,
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "grid.alpha": 0.14,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.7,
    "lines.markersize": 5,
    "errorbar.capsize": 2.5,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "grid.color"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color", "hatch.color"), INK),
}


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: what it shows, short.
        description: what there is to see, in words and numbers, for those who cannot see it.
        draw: draws on matplotlib axes that have nothing but a title.
        width: inches.
        height: inches.
    """

    title: str
    description: str
    draw: Callable[[Any], None]
    width: float = WIDTH
    height: float = HEIGHT


def svg_panels(panels: Sequence[Panel]) -> str:
    """The panels as `<svg>` elements, one behind the other, to stand in a page."""
    return "\n".join(_svg(_draw([panel], 1, {}, page=True), panel) for panel in panels)


def draw_panels(
    panels: Sequence[Panel], path: Path, styles: Mapping[str, Style] | None = None, columns: int = 2
) -> None:
    """Writes the panels as one picture, in one go; nothing if there are none.

    Args:
        panels: what to draw.
        path: the .svg or .png file, replaced if it exists; its folder is made.
        styles: by name of the series, for the key below the panels; none without it.
        columns: panels side by side.

    Raises:
        UserError: if the file has another suffix.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"picture {path} must end in .svg or .png")
    if not panels:
        return
    if path.suffix.lower() == ".png":
        with _style():
            save_figure(_draw(panels, columns, styles or {}, page=False), path)
        return
    figure = _draw(panels, columns, styles or {}, page=True)
    titles = ". ".join(dict.fromkeys(panel.title for panel in panels))
    every = Panel(titles, " ".join(panel.description for panel in panels), panels[0].draw)
    with replacing(path) as temporary:
        temporary.write_text(_svg(figure, every) + "\n", encoding="utf-8")


def shorten(name: str, longest: int = _LONGEST_NAME) -> str:
    """A name as a figure can hold it: one line of printable characters, its end cut off."""
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(name))
    return line if len(line) <= longest else line[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"


@contextlib.contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context(_RC), warnings.catch_warnings():
        # The letters are measured by matplotlib's font, and shown by the reader's, which has them.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


def _draw(
    panels: Sequence[Panel], columns: int, styles: Mapping[str, Style], *, page: bool
) -> Figure:
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    key_rows = math.ceil(len(styles) / (2 * columns))
    width = columns * max(panel.width for panel in panels)
    height = rows * max(panel.height for panel in panels) + key_rows * _KEY_LINE
    with _style():
        figure = new_figure(width, height)
        figure.set_layout_engine("constrained", h_pad=0.06, w_pad=0.06)
        figure.patch.set_visible(not page)
        for number, panel in enumerate(panels):
            axes = figure.add_subplot(rows, columns, number + 1)
            axes.patch.set_visible(False)
            axes.set_title(shorten(panel.title, LONGEST_TITLE))
            panel.draw(axes)
        if styles:
            lines = [
                Line2D([], [], color=s.colour, marker=s.marker, linestyle=s.line)  # type: ignore[arg-type]
                for s in styles.values()
            ]
            names = [shorten(name) for name in styles]
            figure.legend(lines, names, loc="outside lower center", ncols=2 * columns)
    return figure


def _svg(figure: Figure, panel: Panel) -> str:
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with _style():
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    width, height = figure.get_size_inches() * 72
    return _inline(file.getvalue(), width, height, panel)


def _inline(text: str, width: float, height: float, panel: Panel) -> str:
    """What matplotlib wrote, as an element of a page: no prologue, no names that none needs."""
    body = text[text.index("<svg") :]
    body = body[body.index(">") + 1 : body.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.S)
    used = re.findall(r'(?:url\(#|href="#)([^")]+)', body)
    names = {name: f"i{number}" for number, name in enumerate(dict.fromkeys(used))}
    body = re.sub(r"<[^>]*>", lambda match: _plain_tag(match[0], names), body)
    body = re.sub(r">\s+<", "><", body).strip()
    title, description = (escape(shorten(t, 2000)) for t in (panel.title, panel.description))
    label = title.replace('"', "&quot;")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" '
        f'width="{width:.4g}pt" height="{height:.4g}pt" viewBox="0 0 {width:.4g} {height:.4g}" '
        'font-family="system-ui, sans-serif" stroke-linejoin="round">\n'
        f"<title>{title}</title>\n<desc>{description}</desc>\n{body}\n</svg>"
    )


def _plain_tag(tag: str, names: Mapping[str, str]) -> str:
    """One tag: the page's ink and font, short numbers, ids only where they are needed."""

    def identity(match: re.Match[str]) -> str:
        return f' id="{names[match[1]]}"' if match[1] in names else ""

    tag = re.sub(r'\sid="([^"]*)"', identity, tag)
    tag = re.sub(r'(url\(#|href="#)([^")]+)', lambda m: m[1] + names[m[2]], tag)
    tag = tag.replace("xlink:href", "href").replace(INK, "currentColor")
    tag = re.sub(r"font: (?:(\w+) )?([\d.]+px) [^;\"]*", _font, tag)
    tag = re.sub(r"font-family: [^;\"]*; | transform=\"rotate\(-?0 [^\"]*\"", "", tag)
    tag = re.sub(r"-?\d+\.\d{3,}", lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), tag)
    return re.sub(r"\s+", " ", tag)


def _font(match: re.Match[str]) -> str:
    return f"font-size: {match[2]}" + (f"; font-weight: {match[1]}" if match[1] else "")
