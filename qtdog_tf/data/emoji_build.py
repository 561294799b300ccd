"""Builds the folders of emoji_styles at any size from drawings.

Which code points there are and which class each has is not written in the packages (it is a
grouping of Unicode CLDR's sub-groups), so both come from the embedded data set's listing. Start
from `build_emoji_styles`.
"""

import io
import math
import shutil
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from PIL import Image

from qtdog_tf.data.domains import DomainSet
from qtdog_tf.data.emoji_packages import Drawings
from qtdog_tf.errors import UserError

ATTRIBUTIONS = "ATTRIBUTIONS.md"
# The longer side of a drawing takes this part of the frame.
_FILL = 0.94
_OVERSAMPLING = 4
_MAX_RENDERED = 1024

# Renders SVG text at a width in pixels.
Renderer = Callable[[str, int], Image.Image]


def build_emoji_styles(
    listing: DomainSet,
    drawings: Mapping[str, Drawings],
    output: Path,
    *,
    size: int = 64,
    colours: int = 64,
    attributions: str = "",
    render: Renderer | None = None,
) -> dict[str, int]:
    """Writes `<domain>/<class>/<code point>.png` for every drawing of the listing.

    The folder appears under its name when it is complete.

    Args:
        listing: the embedded data set: code points and their classes.
        drawings: the drawings of each domain.
        output: the folder to write; it must not exist.
        size: edge of the images in pixels. Drawings of render3d have 256 pixels.
        colours: size of each image's palette; 0 keeps all colours.
        attributions: text to write beside the images.
        render: renders SVG; resvg by default.

    Returns:
        The number of images of each domain.

    Raises:
        UserError: if the folder exists, or resvg is needed and not installed.
    """
    if output.exists():
        raise UserError(f"{output} exists; name a new folder, or delete it first")
    render = render or resvg_renderer()
    classes = {
        Path(path).stem: listing.classes[label]
        for domain in listing.domains
        for path, label in zip(domain.paths, domain.labels, strict=True)
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    counts = {}
    try:
        for domain, of_domain in drawings.items():
            found = sorted(classes.keys() & of_domain.keys())
            for code_point in found:
                path = unfinished / domain / classes[code_point] / f"{code_point}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                image = open_drawing(of_domain[code_point], size, render)
                frame_drawing(image, size, colours).save(path, optimize=True)
            counts[domain] = len(found)
        if attributions:
            (unfinished / ATTRIBUTIONS).write_text(attributions, encoding="utf-8")
        unfinished.chmod(0o755)
        unfinished.rename(output)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return counts


def open_drawing(drawing: str | bytes, size: int, render: Renderer) -> Image.Image:
    """Returns a drawing as RGBA, larger than needed if it is an SVG."""
    if isinstance(drawing, bytes):
        return Image.open(io.BytesIO(drawing)).convert("RGBA")
    width = max(size, min(_OVERSAMPLING * size, _MAX_RENDERED))
    return render(drawing, width).convert("RGBA")


def frame_drawing(drawing: Image.Image, size: int, colours: int = 64) -> Image.Image:
    """Crops to the opaque part, centres on white so that it fills 94 %, and shrinks.

    Args:
        drawing: RGBA, with at least one pixel that is not transparent.
        size: edge of the result in pixels.
        colours: size of the palette; 0 keeps all colours.

    Returns:
        The image, RGB or with a palette.
    """
    cropped = drawing.crop(drawing.getchannel("A").getbbox())
    edge = math.ceil(max(cropped.size) / _FILL)
    frame = Image.new("RGBA", (edge, edge), "white")
    frame.alpha_composite(cropped, ((edge - cropped.width) // 2, (edge - cropped.height) // 2))
    image = frame.resize((size, size), Image.Resampling.LANCZOS).convert("RGB")
    return image.quantize(colours) if colours else image


def resvg_renderer() -> Renderer:
    """Returns a renderer that uses resvg, which is imported here only.

    Raises:
        UserError: if it is not installed.
    """
    try:
        resvg = import_module("resvg_py")
    except ImportError as error:
        raise UserError("drawing SVG takes resvg: pip install 'resvg-py>=0.5,<0.6'") from error

    def render(svg: str, width: int) -> Image.Image:
        png = resvg.svg_to_bytes(svg_string=svg, width=width, skip_system_fonts=True)
        return Image.open(io.BytesIO(bytes(png)))

    return render
