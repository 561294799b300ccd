"""Reads the npm packages that the drawings of emoji_styles come from.

A package is read in memory and never unpacked onto the disk, so that no name in it can point
anywhere; its SHA-256 is pinned besides. Start from `read_drawings`.
"""

import hashlib
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtdog_tf.errors import UserError

_MAX_FILES = 10_000
_MAX_BYTES = 64 * 2**20
_VARIATION_SELECTOR = "fe0f"


@dataclass(frozen=True)
class EmojiPackage:
    """One npm package of drawings.

    Attributes:
        domain: the domain that its drawings make up.
        name: name of the npm package.
        version: version of the npm package.
        sha256: hash of the .tgz that npm serves.
    """

    domain: str
    name: str
    version: str
    sha256: str

    @property
    def spec(self) -> str:
        """What `npm pack` takes."""
        return f"{self.name}@{self.version}"

    @property
    def file_name(self) -> str:
        """The file that `npm pack` writes."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


PACKAGES = (
    EmojiPackage(
        "flat",
        "@iconify-json/twemoji",
        "1.2.5",
        "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7",
    ),
    EmojiPackage(
        "gradient",
        "@iconify-json/noto",
        "1.2.9",
        "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
    ),
    EmojiPackage(
        "line",
        "@iconify-json/fluent-emoji-high-contrast",
        "1.2.6",
        "0b92d48c90d2200bd499e3cdd09a127ca6a8c8ddefd34c35eb5a1e4994012ae0",
    ),
    EmojiPackage(
        "render3d",
        "@lobehub/fluent-emoji-3d",
        "1.1.0",
        "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
    ),
)

# For each code point, as "1f468-200d-1f52c": SVG text, or the bytes of a pixel image.
Drawings = dict[str, str | bytes]


def read_drawings(
    folder: Path, packages: tuple[EmojiPackage, ...] = PACKAGES
) -> dict[str, Drawings]:
    """Reads all packages.

    Args:
        folder: where their .tgz files lie.
        packages: the packages.

    Returns:
        The drawings of each domain.

    Raises:
        UserError: if a file is missing, is not the one that npm serves, or is malformed.
    """
    contents = {package: read_package(folder, package) for package in packages}
    names: dict[str, str] = {}
    for files in contents.values():
        for code_point, name in json.loads(files.get("chars.json", b"{}")).items():
            names.setdefault(_plain(code_point), name)
    return {
        package.domain: _svg_drawings(files, names) if "icons.json" in files else _pixels(files)
        for package, files in contents.items()
    }


def read_package(folder: Path, package: EmojiPackage) -> dict[str, bytes]:
    """Reads the plain files of a .tgz, without the leading "package/" of their names.

    Raises:
        UserError: if the file is missing, is not the one that npm serves, or holds too much.
    """
    path = folder / package.file_name
    if not path.is_file():
        raise UserError(f"{path} is missing; get it with `npm pack {package.spec}` or --download")
    if hashlib.sha256(path.read_bytes()).hexdigest() != package.sha256:
        raise UserError(
            f"{path} is not {package.spec} as npm serves it (its SHA-256 is wrong); delete it and "
            f"get it with `npm pack {package.spec}`"
        )
    files: dict[str, bytes] = {}
    size = 0
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            size += member.size
            if len(files) >= _MAX_FILES or size > _MAX_BYTES:
                raise UserError(f"{path} holds more than an emoji package may")
            stream = archive.extractfile(member) if member.isfile() else None
            if stream:
                files[member.name.removeprefix("package/")] = stream.read()
    return files


def svg_text(icons: Mapping[str, Any], name: str) -> str | None:
    """Returns an icon of an Iconify set as an SVG file, following aliases.

    Args:
        icons: the parsed icons.json.
        name: name of the icon or alias.

    Returns:
        The SVG, or None if the set has no such icon.
    """
    mirrored = False
    aliases = icons.get("aliases", {})
    for _ in range(len(aliases)):
        if name in icons["icons"]:
            break
        alias = aliases.get(name, {})
        if set(alias) - {"parent", "hFlip"}:
            raise UserError(f"icon {name!r} is turned in a way that is not supported: {alias}")
        mirrored ^= alias.get("hFlip", False)
        name = alias.get("parent", name)
    if name not in icons["icons"]:
        return None
    icon = icons["icons"][name]
    width, height = (icon.get(k, icons.get(k, 16)) for k in ("width", "height"))
    body = icon["body"]
    if mirrored:
        body = f'<g transform="translate({width} 0) scale(-1 1)">{body}</g>'
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}">{body}</svg>'
    )


def _svg_drawings(files: Mapping[str, bytes], names: Mapping[str, str]) -> Drawings:
    """Finds a drawing by the set's own name of the code point, else by another set's name."""
    icons = json.loads(files["icons.json"])
    own = {_plain(k): name for k, name in json.loads(files["chars.json"]).items()}
    texts = {k: svg_text(icons, name) for k, name in {**names, **own}.items()}
    return {k: text for k, text in texts.items() if text is not None}


def _pixels(files: Mapping[str, bytes]) -> Drawings:
    pattern = re.compile(r"assets/([0-9a-f-]+)\.(webp|png)")
    matches = {name: pattern.fullmatch(name) for name in files}
    return {_plain(match[1]): files[name] for name, match in matches.items() if match}


def _plain(code_point: str) -> str:
    """Leaves out the selector that asks for an emoji, which sets write or omit as they like."""
    return "-".join(part for part in code_point.split("-") if part != _VARIATION_SELECTOR)
