"""The ground of every picture: a matplotlib figure that needs no screen and no global state."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qtdog_tf.files import replacing

# Okabe and Ito's colours, which people with any colour vision tell apart, as do prints in grey.
BLUE, VERMILION = "#0072B2", "#B84A00"
INK, PALE_INK, LINE = "#1a1a1a", "#5f5f5f", "#b8b8b8"

_DOTS_AN_INCH = 150
# Pixels of an edge that every viewer opens.
_MAX_PIXELS = 12_000


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of `width` x `height` inches; a very large one has fewer dots an inch."""
    dpi = min(_DOTS_AN_INCH, int(_MAX_PIXELS / max(width, height)))
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure as a PNG file, in one go.

    Args:
        figure: what to draw.
        path: the file, replaced if it exists; its folder is made.
    """
    with replacing(Path(path)) as temporary:
        figure.savefig(temporary, format="png", dpi=figure.dpi)
