"""Shows on a terminal which stage of the export is running, and how far it is."""

import contextlib
from collections.abc import Callable, Iterator

from tqdm import tqdm


class Stages:
    """Stages of work, one after the other.

    Args:
        shown: whether to show them at all; by default on a terminal only.
    """

    def __init__(self, shown: bool | None = None) -> None:
        self._disable = None if shown is None else not shown

    @contextlib.contextmanager
    def stage(self, name: str, images: int | None = None) -> Iterator[Callable[[int], object]]:
        """A stage.

        Args:
            name: what is done.
            images: how many images it takes; without, only the time that has passed is shown.

        Yields:
            A function to call with the number of images done since the last call.
        """
        layout = None if images else "{desc} ... {elapsed}"
        with tqdm(
            total=images,
            desc=name,
            unit="image",
            disable=self._disable,
            leave=False,
            bar_format=layout,
        ) as bar:
            yield bar.update
