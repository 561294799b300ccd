"""Reads and augments images with PyTorch as DomainBed does, for tools/benchmark_input.py.

It runs in the environment that has torch, so it imports nothing of this package. Its argument is a
JSON object, {"do": one of `TASKS`, ...}; it prints another, {"missing": ...} if torch is not there.
One loader a domain that draws for ever with replacement, PIL for files and augmentation.
"""

import json
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def rate(order: dict[str, Any]) -> dict[str, Any]:
    """Images a second of batches of every domain; what they cost; the memory of all processes."""
    import torch
    from torchvision import datasets, transforms  # type: ignore[import-not-found]

    began = time.perf_counter()
    to_tensor = [transforms.ToTensor(), transforms.Normalize(MEAN, DEVIATION)]
    loaders = []
    for domain in order["domains"]:
        images = datasets.ImageFolder(
            os.path.join(order["root"], domain),
            transforms.Compose([*augmentation(order["size"]), *to_tensor]),
        )
        keys = list(range(len(images)))
        random.Random(0).shuffle(keys)
        part = torch.utils.data.Subset(images, keys[len(keys) // 5 :])
        # What of it is infinite is the order of the batches: the workers live as long as the run.
        batches = Endless(len(part), order["images"])
        loaders.append(
            torch.utils.data.DataLoader(part, batch_sampler=batches, num_workers=order["workers"])
        )
    iterators = [iter(loader) for loader in loaders]

    def next_batch() -> None:
        # DomainBed's methods join the batches of the domains too.
        torch.cat([next(iterator)[0] for iterator in iterators])

    next_batch()
    first = time.perf_counter() - began
    for _ in range(order["warm_up"]):
        next_batch()
    processes = ["self", *(w.pid for iterator in iterators for w in iterator._workers)]
    used, began = cpu_seconds(processes), time.perf_counter()
    for _ in range(order["batches"]):
        next_batch()
    seconds = time.perf_counter() - began
    used = cpu_seconds(processes) - used
    count = order["batches"] * order["images"] * len(loaders)
    return {
        "first_batch_s": first,
        "images_per_second": count / seconds,
        "cpu_ms": 1000 * used / count,
        "mb": sum(map(own_bytes, processes)) / 2**20,
        "torch": torch.__version__,
    }


def augment(order: dict[str, Any]) -> dict[str, Any]:
    """Augments one picture many times; writes uint8 [n, size, size, 3] to a file."""
    import numpy as np
    import torch
    from PIL import Image
    from torchvision import transforms

    torch.manual_seed(order["seed"])
    random.seed(order["seed"])
    with Image.open(order["picture"]) as file:
        picture = file.convert("RGB")
    change = transforms.Compose(augmentation(order["size"]))
    np.save(order["output"], np.stack([np.asarray(change(picture)) for _ in range(order["n"])]))
    return {}


def augmentation(size: int) -> list[Any]:
    """DomainBed's augmentation, up to the conversion to a tensor."""
    from torchvision import transforms

    return [
        transforms.RandomResizedCrop(size, scale=(0.7, 1.0)),
        transforms.RandomHorizontalFlip(),
        transforms.ColorJitter(0.3, 0.3, 0.3, 0.3),
        transforms.RandomGrayscale(),
    ]


class Endless:
    """Batches of positions, drawn with replacement."""

    def __init__(self, count: int, images: int) -> None:
        self.count, self.images = count, images

    def __iter__(self) -> Iterator[list[int]]:
        while True:
            yield [random.randrange(self.count) for _ in range(self.images)]


def cpu_seconds(processes: list[Any]) -> float:
    """Processor time that processes have taken so far."""
    fields = [
        Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        for process in processes
    ]
    return sum(int(f[11]) + int(f[12]) for f in fields) / os.sysconf("SC_CLK_TCK")


def own_bytes(process: Any) -> int:
    """Memory of a process; of what it shares with others its part."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024


# The last only tells whether torch is there.
TASKS = {"rate": rate, "augment": augment, "nothing": lambda order: {}}


def main(order: dict[str, Any]) -> dict[str, Any]:
    """Does what is asked."""
    try:
        import torch
        import torchvision  # noqa: F401
    except ImportError as error:
        return {"missing": str(error)}
    # Each worker has one thread anyhow; the process that collects batches needs no more.
    torch.set_num_threads(1)
    return TASKS[order["do"]](order)


if __name__ == "__main__":
    json.dump(main(json.loads(sys.argv[1])), sys.stdout)
