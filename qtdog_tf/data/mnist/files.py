"""Finds the four IDX files of MNIST or Fashion-MNIST in a folder. See `find_idx_files`."""

from pathlib import Path

from qtdog_tf.data.catalog.digit_sets import IDX_FILES
from qtdog_tf.errors import UserError

# Where torchvision puts them.
_FOLDERS = (".", "raw", "MNIST/raw", "FashionMNIST/raw")


def find_idx_files(folder: Path) -> dict[str, Path]:
    """Finds the four files, also in the folders that torchvision makes.

    Args:
        folder: where they lie, as `train-images-idx3-ubyte.gz` or without `.gz`; some have a dot
            before `idx`.

    Returns:
        The paths by part: train-images, train-labels, t10k-images, t10k-labels.

    Raises:
        UserError: naming all that are missing.
    """
    found = {}
    for part, packed in IDX_FILES.items():
        plain = packed.removesuffix(".gz")
        names = (packed, packed.replace("-idx", ".idx"), plain, plain.replace("-idx", ".idx"))
        paths = [folder / sub / name for sub in _FOLDERS for name in names]
        path = next((path for path in paths if path.is_file()), None)
        if path:
            found[part] = path
    missing = [name for part, name in IDX_FILES.items() if part not in found]
    if missing:
        raise UserError(
            f"{folder} lacks {', '.join(missing)}: put the files of MNIST's format there"
        )
    return found
