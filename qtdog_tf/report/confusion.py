"""A confusion matrix in the page: a table, or with many classes a picture."""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from qtdog_tf.evaluation import DomainResult
from qtdog_tf.pictures.confusion import draw_confusion
from qtdog_tf.report.blocks import scrolling
from qtdog_tf.report.html import Html, element
from qtdog_tf.report.images import data_uri

# Of more, numbers cannot be read beside each other.
_MAX_TABLE = 20
_MAX_PIXELS = 1400


def confusion(result: DomainResult, title: str) -> Html:
    """Images by true class (rows) and predicted class (columns).

    Args:
        result: of one domain.
        title: says what it is of.
    """
    if len(result.classes) > _MAX_TABLE:
        return _picture(result, title)
    counts, support = result.confusion, result.support
    corner = element("th", element("small", "true \\ predicted"), scope="col")
    columns = [
        element("th", element("span", name), scope="col", title=name) for name in result.classes
    ]
    rows = []
    for i, name in enumerate(result.classes):
        cells = [
            element(
                "td",
                str(count) if count else "",
                style=f"--part:{count / max(support[i], 1):.2f}",
            )
            for count in counts[i].tolist()
        ]
        rows.append(element("tr", element("th", f"{name} ({support[i]})", scope="row"), *cells))
    caption = f"{title}. Cells count images; the fuller, the larger the part of the row."
    whole = element(
        "table",
        element("thead", element("tr", corner, *columns)),
        element("tbody", *rows),
        class_="confusion",
        aria_label=title,
    )
    return element("p", caption, class_="caption") + scrolling(whole, title)


def _picture(result: DomainResult, title: str) -> Html:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "confusion.png"
        draw_confusion([result], path, title)
        with Image.open(path) as drawn:
            drawn.thumbnail((_MAX_PIXELS, _MAX_PIXELS))
            pixels = np.asarray(drawn.convert("RGB"))
    height, width = pixels.shape[:2]
    shown = element("img", src=data_uri(pixels), alt=title, width=width, height=height)
    return scrolling(shown, title)
