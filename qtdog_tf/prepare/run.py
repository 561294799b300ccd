"""Prepares one data set: finds the downloads, reads them, checks the counts, names the folder.

Start from `prepare`.
"""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qtdog_tf.data.catalog import TERRA_INCOGNITA, DataSetEntry, compare_counts
from qtdog_tf.data.catalog.counts import count_images
from qtdog_tf.data.folders import read_folder
from qtdog_tf.data.mnist import MNIST_VARIANTS, IdxSource
from qtdog_tf.errors import UserError
from qtdog_tf.files import read_json
from qtdog_tf.locks import hold
from qtdog_tf.prepare.archives import source_bytes
from qtdog_tf.prepare.checksums import check_archives
from qtdog_tf.prepare.find import find_sources
from qtdog_tf.prepare.folder_images import (
    add_folder_images,
    duplicate_findings,
    read_duplicates,
)
from qtdog_tf.prepare.mnist_images import add_mnist_images
from qtdog_tf.prepare.settings import PrepareSettings
from qtdog_tf.prepare.terra_images import add_terra_images, read_annotations
from qtdog_tf.prepare.tree import RECORD, ImageTree

_GO_ON = "get what is missing and run the same command again, which goes on from what is there"
_DELETE = "delete it and prepare it again"
# Opens a display of progress: its total and unit; yields a function that advances it.
Progress = Callable[[int, str], AbstractContextManager[Callable[[int], object]]]


@dataclass(frozen=True, eq=False)
class Prepared:
    """What was prepared.

    Attributes:
        entry: the data set.
        counts: int64 [domains, classes], images.
        version: the version of the data set that the counts agree with, or None.
        warnings: sentences: what is missing or not as it is known.
        written: images written now.
        kept: images that an earlier attempt had written; all of them if nothing was left to do.
    """

    entry: DataSetEntry
    counts: np.ndarray
    version: str | None
    warnings: tuple[str, ...]
    written: int
    kept: int


def silent(total: int, unit: str) -> AbstractContextManager[Callable[[int], object]]:
    """Shows no progress."""
    return nullcontext(int)


def prepare(
    entry: DataSetEntry,
    downloads: Path,
    output: Path,
    settings: PrepareSettings | None = None,
    progress: Progress = silent,
) -> Prepared:
    """Writes `output/<domain>/<class>/<image>` from what a person downloaded.

    The folder appears when it is whole. Interrupted, the same call goes on.

    Args:
        entry: the data set.
        downloads: the folder of the archives, or of what was unpacked from them.
        output: the folder to make. If it is there and was made by this function, it is checked.
        settings: choices; the defaults if None.
        progress: shows how far it is.

    Returns:
        What is there now, with warnings.

    Raises:
        UserError: if a download is missing, damaged or refused, a domain has no image, or, with
            `settings.strict`, there is anything to warn of. What was written stays, under a hidden
            name, for the next attempt.
    """
    settings = settings or PrepareSettings()
    output = output.expanduser()
    chosen = {"dataset": entry.name, **_relevant(entry, settings)}
    if output.exists():
        result = _check_prepared(entry, output, chosen)
        _refuse(result, f"{output} is there", _DELETE, settings.strict)
        return result
    with hold(output, "prepared"):
        tree = ImageTree(output, entry)
        findings = _add_images(tree, downloads.expanduser(), settings, progress)
        result = _result(tree.entry, tree.counts(), findings, tree.written, tree.kept)
        _refuse(result, f"{output} is not made", _GO_ON, settings.strict)
        tree.finish(_record(result, chosen, findings))
    return result


def _relevant(entry: DataSetEntry, settings: PrepareSettings) -> dict[str, Any]:
    """The settings that change the images of this data set, and those alone."""
    if entry.name in MNIST_VARIANTS:
        return {"seed": settings.seed, "resampling": settings.resampling}
    duplicates = sorted(read_duplicates(entry, settings.duplicates))
    digest = hashlib.sha256("\n".join(duplicates).encode()).hexdigest()
    return {"duplicates": digest} if duplicates else {}


def _add_images(
    tree: ImageTree, downloads: Path, settings: PrepareSettings, progress: Progress
) -> tuple[str, ...]:
    entry = tree.entry
    if entry.name in MNIST_VARIANTS:
        source = IdxSource.open(downloads)
        findings = check_archives(settings.checksums, list(source.files.values()))
        with progress(len(source.labels), "image") as advance:
            return (*findings, *add_mnist_images(tree, source, settings, advance))
    sources = find_sources(entry, downloads)
    findings = check_archives(settings.checksums, sources)
    if entry is TERRA_INCOGNITA and len(sources) == 2:
        places = read_annotations(sources[1], entry)
        with progress(source_bytes(sources[0]), "B") as advance:
            return (*findings, *add_terra_images(tree, sources[0], places, advance))
    duplicates = read_duplicates(entry, settings.duplicates)
    with progress(sum(map(source_bytes, sources)), "B") as advance:
        elsewhere = add_folder_images(tree, sources, duplicates, advance)
    return (*findings, *duplicate_findings(entry, duplicates), *elsewhere)


def _result(
    entry: DataSetEntry, counts: np.ndarray, findings: tuple[str, ...], written: int, kept: int
) -> Prepared:
    found = compare_counts(entry, counts)
    warnings = (*findings, *found.absent, *found.differences)
    return Prepared(entry, counts, found.version, warnings, written, kept)


def _refuse(result: Prepared, state: str, advice: str, strict: bool) -> None:
    absent = compare_counts(result.entry, result.counts).absent
    if absent or (strict and result.warnings):
        raise UserError(f"{state}: {'; '.join(absent or result.warnings)}; {advice}")


def _record(result: Prepared, chosen: dict[str, Any], findings: tuple[str, ...]) -> dict[str, Any]:
    images = dict(zip(result.entry.domains, result.counts.sum(axis=1).tolist(), strict=True))
    return {
        "settings": chosen,
        "images": images,
        "version": result.version,
        "findings": list(findings),
    }


def _check_prepared(entry: DataSetEntry, output: Path, chosen: dict[str, Any]) -> Prepared:
    record = output / RECORD
    known = read_json(record) if record.is_file() else None
    known = known if isinstance(known, dict) else {}
    settings = known.get("settings")
    if settings != chosen:
        what = "was made otherwise" if settings else "exists"
        raise UserError(f"{output} {what}: name a new folder, or delete it first")
    counts = count_images(entry, read_folder(output))
    findings = tuple(map(str, known.get("findings") or ()))
    return _result(entry, counts, findings, 0, int(counts.sum()))
