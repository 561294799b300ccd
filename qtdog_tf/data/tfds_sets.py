"""Reads data sets of TensorFlow Datasets (TFDS) whose splits or configs are domains.

The encoded images are written once, as they are, into a folder tree, so that everything downstream
(splits, cache, integrity check, error messages) deals with files only. Start from `read_tfds`.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from qtdog_tf.data.domains import DomainSet
from qtdog_tf.data.folders import read_folder
from qtdog_tf.errors import UserError
from qtdog_tf.files import rename_unless_there

# Names that TFDS data sets give to what identifies an example, best first.
ID_FEATURES = (
    "image/filename",
    "file_name",
    "filename",
    "image/id",
    "image_id",
    "file_id",
    "id",
)
# TFDS' own DomainNet has none of them, so the place of an example in TFDS' files stands for it: its
# splits can be repeated, but are not DomainBed's. Those of domain_net in `qtdog_tf.datasets` are.
PLACE = "tfds_id"
KNOWN_BY_PLACE = ("domainnet",)
_SUFFIXES_OF_START = {
    b"\xff\xd8\xff": (".jpg", ".jpeg"),
    b"\x89PNG": (".png",),
    b"GIF8": (".gif",),
    b"BM": (".bmp",),
    b"RIFF": (".webp",),
}
_MAX_NAME_BYTES = 200

# For each domain: a builder, and the splits of it that are the domain.
_Parts = dict[str, tuple[Any, tuple[str, ...]]]


def load_builder(name: str, data_dir: str | None = None) -> Any:
    """Opens a prepared TFDS data set.

    Args:
        name: as `tfds.builder` takes it: "name", "name/config" or "name/config:version".
        data_dir: the folder of prepared data sets; TFDS's own by default.

    Returns:
        A builder, whose splits are domains; or, if the data set has several configs and the name
        chooses none, a dict of builders, whose keys are domains.

    Raises:
        UserError: if there is no such data set or it has not been prepared.
    """
    import qtdog_tf.datasets  # noqa: F401  # registers those of the catalogue; it imports this package

    try:
        builder = tfds.builder(name, data_dir=data_dir)
        configs = [] if "/" in name else list(type(builder).builder_configs)
        if len(configs) > 1:
            builders = {c: tfds.builder(f"{name}/{c}", data_dir=data_dir) for c in configs}
        else:
            builders = {}
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"TensorFlow Datasets has no {name!r}: {reason}") from error
    return builders or builder


def read_tfds(
    builder: Any, cache_dir: str | os.PathLike[str], name: str | None = None
) -> DomainSet:
    """Lists the images of a prepared TFDS data set, which it first writes into files.

    The order is that of any folder: by class name, then file name. A number as id becomes a file
    name of ten digits. The tree is written under a temporary name and renamed, once for each
    version of the data set.

    Args:
        builder: a `tfds.core.DatasetBuilder` whose splits are the domains, or a dict from domain to
            a builder whose splits together are that domain. `tfds.folder_dataset.ImageFolder` is
            read in place, by its folder: also the BMP, GIF and WebP images that it leaves out.
        cache_dir: where to write the files, under "tfds".
        name: what to call the data set; the builder's name by default.

    Returns:
        The domains.

    Raises:
        UserError: if the data set is not prepared, has no single image and class label, or its
            examples carry no file name or id (TFDS' own domainnet aside), or two of one class carry
            the same; or if the files cannot be written.
    """
    if isinstance(builder, tfds.folder_dataset.ImageFolder):
        return read_folder(str(builder.data_dir), name)
    if isinstance(builder, Mapping):
        parts = {domain: (one, tuple(one.info.splits)) for domain, one in builder.items()}
    else:
        parts = {split: (builder, (split,)) for split in builder.info.splits}
    builders = list({id(one): one for one, _ in parts.values()}.values())
    if not parts or not all(splits for _, splits in parts.values()):
        what = builder.name if not isinstance(builder, Mapping) else ", ".join(builder)
        raise UserError(f"TFDS data set {what} is not prepared; run `tfds build` for it first")
    features = [_Features(one) for one in builders]
    name = name or builders[0].name
    root = Path(cache_dir).expanduser() / "tfds" / f"{_safe(name)}-{_identity(parts)}"
    if not root.exists():
        _extract(parts, dict(zip(map(id, builders), features, strict=True)), root)
    return read_folder(root, name)


class _Features:
    """The names of the features that matter, and the names of the classes."""

    def __init__(self, builder: Any) -> None:
        features = builder.info.features
        where = f"TFDS data set {builder.info.full_name}"
        if not hasattr(features, "items"):
            raise UserError(f"{where} has no named features")
        images = [k for k, f in features.items() if isinstance(f, tfds.features.Image)]
        labels = [k for k, f in features.items() if isinstance(f, tfds.features.ClassLabel)]
        if len(images) != 1 or len(labels) != 1:
            raise UserError(
                f"{where} must have one image and one class label; it has images {images} and "
                f"labels {labels}"
            )
        ids = [key for key in ID_FEATURES if key in features]
        if not ids and builder.name in KNOWN_BY_PLACE:
            ids = [PLACE]
        if not ids:
            raise UserError(
                f"{where} carries no file name or id, on which splits could rest: its features are "
                f"{', '.join(features)}, and none is one of {', '.join(ID_FEATURES)}"
            )
        self.image, self.label, self.id = images[0], labels[0], ids[0]
        label = features[self.label]
        self.classes = [_safe(label.int2str(i)) for i in range(label.num_classes)]


def _extract(parts: _Parts, features: dict[int, _Features], root: Path) -> None:
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
        try:
            for domain, (builder, splits) in parts.items():
                for split in splits:
                    _write_split(builder, split, features[id(builder)], unfinished / _safe(domain))
            unfinished.chmod(0o755)
            rename_unless_there(unfinished, root)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"cannot write the images of the TFDS data set into {root.parent}: {error.strerror}"
        ) from error


def _write_split(builder: Any, split: str, features: _Features, folder: Path) -> None:
    for name in features.classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
    dataset = builder.as_dataset(
        split=split,
        decoders={features.image: tfds.decode.SkipDecoding()},
        shuffle_files=False,
        read_config=tfds.ReadConfig(add_tfds_id=features.id == PLACE),
    )
    for example in dataset.as_numpy_iterator():
        contents = example[features.image]
        path = folder / features.classes[example[features.label]]
        path /= _file_name(example[features.id], contents)
        try:
            with path.open("xb") as file:
                file.write(contents)
        except FileExistsError:
            raise UserError(
                f"TFDS data set {builder.info.full_name}: {features.id} {path.stem!r} occurs twice "
                f"in one class of split {split!r}, so it does not identify an image"
            ) from None


def _file_name(identity: Any, contents: bytes) -> str:
    """Makes a file name of an id, whose suffix tells the kind of image."""
    if isinstance(identity, bytes):
        name = _safe(identity.decode("utf-8", "replace"))
    else:
        name = f"{int(identity):010d}"
    kinds = (kind for start, kind in _SUFFIXES_OF_START.items() if contents.startswith(start))
    # What is no image gets an image's name too, so that the integrity check opens and reports it.
    suffixes = next(kinds, (".png",))
    return name if name.lower().endswith(suffixes) else name + suffixes[0]


def _safe(name: str) -> str:
    """Makes one visible file name of any text; different texts give different names."""
    safe = re.sub(r"^\.|[/\\%\x00-\x1f]", lambda match: f"%{ord(match[0]):02X}", name)
    if len(safe.encode()) > _MAX_NAME_BYTES:
        # The end is kept, since a suffix is there.
        safe = hashlib.sha256(name.encode()).hexdigest() + safe[-20:]
    return safe or "%"


def _identity(parts: _Parts) -> str:
    """Returns 8 hex digits that change with the builder, its folder and the sizes of its splits."""
    digest = hashlib.sha256()
    for domain, (builder, splits) in parts.items():
        digest.update(f"{domain}\n{builder.info.full_name}\n{builder.data_dir}\n".encode())
        for split in splits:
            info = builder.info.splits[split]
            digest.update(f"{split} {info.num_examples} {info.num_bytes}\n".encode())
    return digest.hexdigest()[:8]
