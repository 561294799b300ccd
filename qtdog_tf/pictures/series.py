"""How the curves of a figure are told apart: colour, marker and line, in any combination of them.

Start from `styles_for`. The colours are Okabe and Ito's that stand out (contrast 3 : 1 or more) on
a white and on a nearly black ground, so that one drawing serves a light and a dark page; the first
is the page's own ink.
"""

import dataclasses
from collections.abc import Iterable

# Stands for the page's own ink until `svg.py` puts "currentColor" there; black in a .png file.
INK = "#010203"
LIGHT_GROUND, DARK_GROUND = "#ffffff", "#16181d"
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
COLOURS = (INK, BLUE, VERMILION, GREEN, PURPLE)

# As many as have no common divisor with the colours: 35 different pairs.
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (6, 2),
    (2, 1.5),
    (7, 2, 2, 2),
    (4, 1.5, 1, 1.5, 1, 1.5),
)
# The same markers in a square of -1 to 1, for a sample of a line.
_SHAPES = {
    "s": "-.85,-.85 .85,-.85 .85,.85 -.85,.85",
    "^": "0,-1 1,.9 -1,.9",
    "v": "0,1 1,-.9 -1,-.9",
    "D": "0,-1.15 1.15,0 0,1.15 -1.15,0",
    "P": "-.4,-1 .4,-1 .4,-.4 1,-.4 1,.4 .4,.4 .4,1 -.4,1 -.4,.4 -1,.4 -1,-.4 -.4,-.4",
    "X": "-.9,-1 0,-.4 .9,-1 1,-.9 .4,0 1,.9 .9,1 0,.4 -.9,1 -1,.9 -.4,0 -1,-.9",
}


@dataclasses.dataclass(frozen=True)
class Style:
    """How one series is drawn.

    Attributes:
        colour: "#rrggbb"; `INK` for the page's own.
        marker: matplotlib's letter.
        dashes: lengths of lines and gaps in points; () for a solid line.
    """

    colour: str
    marker: str
    dashes: tuple[float, ...]

    @property
    def line(self) -> tuple[float, tuple[float, ...]] | str:
        """The dashes as matplotlib takes them."""
        return (0, self.dashes) if self.dashes else "-"


def styles_for(names: Iterable[str]) -> dict[str, Style]:
    """A style for each name, by its place; different ones for the first 35 names."""
    return {
        name: Style(
            COLOURS[i % len(COLOURS)], _MARKERS[i % len(_MARKERS)], _DASHES[i % len(_DASHES)]
        )
        for i, name in enumerate(dict.fromkeys(names))
    }


def svg_sample(style: Style) -> str:
    """A short piece of a line with its marker, as an `<svg>` element beside a name."""
    colour = "currentColor" if style.colour == INK else style.colour
    dashes = f' stroke-dasharray="{" ".join(map(str, style.dashes))}"' if style.dashes else ""
    line = f'<path d="M1 6H33"{dashes} stroke="{colour}" stroke-width="2" fill="none"/>'
    mark = f'<circle cx="17" cy="6" r="4" fill="{colour}"/>'
    if style.marker in _SHAPES:
        shape = f'<polygon points="{_SHAPES[style.marker]}" fill="{colour}"/>'
        mark = f'<g transform="translate(17 6) scale(4)">{shape}</g>'
    return f'<svg aria-hidden="true" width="34" height="12" viewBox="0 0 34 12">{line}{mark}</svg>'
