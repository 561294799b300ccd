"""TerraIncognita from CCT-20: images by name, their places and animals in five annotation files.

As DomainBed builds it: four locations, ten classes; an image with two of them is in both.
"""

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtdog_tf.data.catalog import DataSetEntry
from qtdog_tf.errors import UserError, one_line
from qtdog_tf.prepare.archives import read_members
from qtdog_tf.prepare.member import Member
from qtdog_tf.prepare.tree import ImageTree

ANNOTATION_FILES = tuple(
    f"{name}_annotations.json"
    for name in ("train", "cis_val", "cis_test", "trans_val", "trans_test")
)
MAX_ANNOTATION_BYTES = 2**29
_NAMED = 5

# For each file name: the (domain, class) pairs that it belongs to.
Places = dict[str, set[tuple[str, str]]]


def read_annotations(source: Path, entry: DataSetEntry) -> Places:
    """Merges the five annotation files.

    Args:
        source: the archive or folder that holds them.
        entry: TerraIncognita.

    Raises:
        UserError: if one is missing, damaged or no CCT annotation.
    """
    places: Places = defaultdict(set)
    found = set()
    for member in read_members(source):
        name = member.name.rsplit("/", 1)[-1]
        if name in ANNOTATION_FILES:
            found.add(name)
            contents = member.contents(MAX_ANNOTATION_BYTES)
            parse_annotations(contents, f"{name} in {source}", entry, places)
    missing = [name for name in ANNOTATION_FILES if name not in found]
    if missing:
        raise UserError(f"{source} lacks {', '.join(missing)}: get it again")
    return dict(places)


def parse_annotations(contents: bytes, where: str, entry: DataSetEntry, places: Places) -> None:
    """Adds what one annotation file says.

    Args:
        contents: JSON of CCT's format: categories, images with a location, annotations.
        where: what the sentence calls the file.
        entry: TerraIncognita.
        places: extended.

    Raises:
        UserError: if it is something else.
    """
    try:
        _merge(json.loads(contents), entry, places)
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"{where} is no annotation of CCT-20 ({one_line(error)}): get it again"
        ) from error


def _merge(data: Any, entry: DataSetEntry, places: Places) -> None:
    kinds = {item["id"]: item["name"] for item in data["categories"]}
    files = {}
    for image in data["images"]:
        # A number in one file, text in another.
        domain = f"location_{image['location']}"
        if domain in entry.domains:
            files[image["id"]] = (str(image["file_name"]).rsplit("/", 1)[-1], domain)
    for annotation in data["annotations"]:
        kind = kinds[annotation["category_id"]]
        if annotation["image_id"] in files and kind in entry.classes:
            name, domain = files[annotation["image_id"]]
            places[name].add((domain, kind))


def add_terra_images(
    tree: ImageTree, images: Path, places: Places, advance: Callable[[int], object]
) -> tuple[str, ...]:
    """Adds the images that the annotations name.

    Returns:
        Findings: images that the annotations name and the archive lacks.

    Raises:
        UserError: if the archive is damaged or refused.
    """
    missing = set(places)
    for member in read_members(images, advance):
        name = member.name.rsplit("/", 1)[-1]
        if name in missing:
            missing.remove(name)
            # An archive that is read in one go hands out a member once.
            once = Member.in_memory(member.name, member.contents())
            for domain, kind in sorted(places[name]):
                tree.add(domain, kind, once)
    if not missing:
        return ()
    shown = ", ".join(sorted(missing)[:_NAMED])
    more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
    return (f"{images.name} lacks images that the annotations name: {shown}{more}",)
