"""One small picture in every format and kind that is read."""

import io

import numpy as np
from PIL import Image

ORIENTATION = 0x0112


def a_picture() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((46, 31), Image.Resampling.BICUBIC)


def with_alpha() -> Image.Image:
    picture = a_picture().convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x010F] = "a maker"
    tags[ORIENTATION] = orientation
    return tags


CASES = {
    "jpeg": encoded(a_picture(), "JPEG"),
    "jpeg 4:4:4": encoded(a_picture(), "JPEG", subsampling=0, quality=95),
    "jpeg progressive": encoded(a_picture(), "JPEG", progressive=True),
    "jpeg grey": encoded(a_picture().convert("L"), "JPEG"),
    "jpeg cmyk": encoded(a_picture().convert("CMYK"), "JPEG"),
    "png": encoded(a_picture(), "PNG"),
    "png palette": encoded(a_picture().quantize(50), "PNG"),
    "png grey": encoded(a_picture().convert("L"), "PNG"),
    "png 1 bit": encoded(a_picture().convert("1"), "PNG"),
    "png alpha": encoded(with_alpha(), "PNG"),
    "png grey alpha": encoded(with_alpha().convert("LA"), "PNG"),
    "gif": encoded(a_picture().quantize(30), "GIF"),
    "gif animation": encoded(
        a_picture().quantize(30), "GIF", save_all=True, append_images=[a_picture().rotate(90)]
    ),
    "bmp": encoded(a_picture(), "BMP"),
    "bmp palette": encoded(a_picture().quantize(256), "BMP"),
    "bmp small palette": encoded(a_picture().quantize(5), "BMP"),
    "bmp grey": encoded(a_picture().convert("L"), "BMP"),
    "bmp alpha": encoded(with_alpha(), "BMP"),
    "webp": encoded(a_picture(), "WEBP"),
    "webp lossless": encoded(a_picture(), "WEBP", lossless=True),
    "webp alpha": encoded(with_alpha(), "WEBP", exact=True),
    "webp lossless alpha": encoded(with_alpha(), "WEBP", lossless=True, exact=True),
}
