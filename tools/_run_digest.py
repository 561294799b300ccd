"""What a training run came to, as digests that do not depend on when or where it ran."""

import hashlib
import zipfile
from io import BytesIO
from pathlib import Path

import h5py

# Bytes that must repeat; times are kept apart from them, in times.json.
_LOGS = (
    "results.jsonl",
    "scalars.jsonl",
    "loss.csv",
    "run.json",
    "summary.json",
    "layers.txt",
)


def run_digests(output: Path) -> dict[str, str]:
    """A digest of every log and of the weights of every model in a folder of runs.

    Args:
        output: the folder that `tools.train` wrote to.

    Returns:
        Digests by path within the folder. Of a `.keras` file only names, shapes and values of the
        weights count, since the file has dates in it.
    """
    digests = {}
    for path in sorted(output.rglob("*")):
        name = path.relative_to(output).as_posix()
        if path.name in _LOGS:
            digests[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.suffix == ".keras":
            digests[name] = _weights_digest(path)
    return digests


def _weights_digest(path: Path) -> str:
    digest = hashlib.sha256()

    def add(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            values = item[()]
            digest.update(f"{name} {values.shape} {values.dtype}".encode())
            digest.update(values.tobytes())

    with zipfile.ZipFile(path) as archive:
        weights = BytesIO(archive.read("model.weights.h5"))
    with h5py.File(weights) as file:
        file.visititems(add)
    return digest.hexdigest()
