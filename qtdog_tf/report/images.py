"""Images inside the page, as small as they are shown."""

import base64
import io

import numpy as np
from PIL import Image

from qtdog_tf.report.html import Html, element

_QUALITY = 82


def data_uri(pixels: np.ndarray) -> str:
    """An image as a data URI: PNG or JPEG, whichever is smaller.

    Args:
        pixels: uint8 [h, w, 3].
    """
    encoded = []
    for kind, options in (("png", {"optimize": True}), ("jpeg", {"quality": _QUALITY})):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind, **options)
        encoded.append((len(file.getvalue()), kind, file.getvalue()))
    _, kind, contents = min(encoded)
    return f"data:image/{kind};base64,{base64.b64encode(contents).decode()}"


def picture(pixels: np.ndarray | None, alt: str) -> Html:
    """An image, or a place for one whose file is gone.

    Args:
        pixels: uint8 [h, w, 3]; None if there is none.
        alt: what it shows.
    """
    if pixels is None:
        return element("div", "file is gone", class_="gone", role="img", aria_label=alt)
    height, width = pixels.shape[:2]
    return element("img", src=data_uri(pixels), alt=alt, width=width, height=height, loading="lazy")
