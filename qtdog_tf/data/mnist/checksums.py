"""SHA-256 of the IDX files of MNIST and Fashion-MNIST. Start from `checksum_findings`.

Packed files: as TensorFlow Datasets has them for the authors' servers. Unpacked: measured on
Debian's package dataset-fashion-mnist, which packs them anew; those of MNIST are not known here.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from qtdog_tf.data.mnist.idx import open_idx

_CHUNK = 2**20
_MNIST: dict[str, tuple[str, ...]] = {
    "train-images": ("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",),
    "train-labels": ("3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",),
    "t10k-images": ("8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",),
    "t10k-labels": ("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",),
}
_FASHION_MNIST: dict[str, tuple[str, ...]] = {
    "train-images": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    "train-labels": (
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    "t10k-images": (
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    "t10k-labels": (
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}
CHECKSUMS: dict[str, dict[str, tuple[str, ...]]] = {
    "rotated_mnist": _MNIST,
    "colored_mnist": _MNIST,
    "rotated_fashion_mnist": _FASHION_MNIST,
}


def checksum_findings(name: str, files: Mapping[str, Path]) -> tuple[str, ...]:
    """Says which IDX files are not the ones that are known, packed or unpacked.

    Args:
        name: the variant, for example "rotated_mnist".
        files: what `find_idx_files` returns.

    Returns:
        A sentence for each file that differs; a repacked one may still hold the same images.

    Raises:
        UserError: if a file is damaged.
    """
    known = CHECKSUMS[name]
    return tuple(
        f"{path.name} is not the file whose SHA-256 is known here, as it is or unpacked"
        for part, path in files.items()
        if file_sha256(path) not in known[part] and _unpacked_sha256(path) not in known[part]
    )


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpacked_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open_idx(path) as read:
        while chunk := read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
