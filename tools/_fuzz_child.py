"""The process in which the fuzzer lets a reader open damaged files; it may crash or hang.

    python -m tools._fuzz_child READER CORPUS SEED START STOP

prints a line for each number: the number and what came of it.
"""

import os
import random
import sys
import tempfile
import zlib
from pathlib import Path

from tools._fuzz_mutate import mutate


def read_corpus(folder: Path) -> list[bytes]:
    """The files to begin with, in the order of their names."""
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def damaged(corpus: list[bytes], reader: str, seed: int, number: int) -> bytes:
    """The file of a number, the same in every process."""
    chooser = random.Random(zlib.crc32(f"{reader} {seed} {number}".encode()))
    # The corpus itself comes first.
    if number < len(corpus):
        return corpus[number]
    return mutate(chooser.choice(corpus), corpus, chooser.randrange(2**63))


def main(name: str, corpus_folder: str, seed: int, start: int, stop: int) -> None:
    """Tries the numbers from `start` to `stop` in turn."""
    # Libraries in C print what they think of a file; the numbers go out on a channel of their own.
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        from tools._fuzz_readers import READERS, attempt

        corpus = read_corpus(Path(corpus_folder))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / READERS[name].file
            path.parent.mkdir(exist_ok=True)
            print("ready", file=answers)
            for number in range(start, stop):
                path.write_bytes(damaged(corpus, name, seed, number))
                outcome = attempt(READERS[name], path)
                print(f"{number}\t{' '.join(outcome.split())}", file=answers)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
