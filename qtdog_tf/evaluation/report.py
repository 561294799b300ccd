"""Evaluations as text for a person: a table of domains, tables of classes, and what to mind."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from qtdog_tf.evaluation.images import MAYBE_SOURCE
from qtdog_tf.evaluation.metrics import DomainResult
from qtdog_tf.records import OUT, SOURCE
from qtdog_tf.tables import format_table

Results = Mapping[str, Sequence[DomainResult]]

_NAMES_SHOWN = 8

LEGEND = """\
accuracy and mean recall in %: of all images, and the mean over the classes that occur, so that
frequent classes count no more than rare ones. loss: mean cross-entropy, nats. role: source
(trained on its "in" part; "out" is its validation part, of an ensemble what no member was trained
on), target (held out), new (not part of the training data)."""


def domain_table(results: Results) -> str:
    """A table with one row a domain and run, the runs of a domain below each other.

    Args:
        results: by name of the run.
    """
    header = ["domain", "role", "part", "images", "run", "accuracy", "mean recall", "loss"]
    every = [(label, result) for label, of_run in results.items() for result in of_run]
    # In the order of the first run; sorting keeps the order of the runs inside a domain.
    places = {name: i for i, name in enumerate(dict.fromkeys(r.domain for _, r in every))}
    rows = [
        [
            result.domain,
            result.role,
            result.part,
            str(result.images),
            label,
            _percent(result.accuracy),
            _percent(result.mean_recall),
            "-" if np.isnan(result.loss) else f"{result.loss:.3f}",
        ]
        for label, result in sorted(every, key=lambda item: places[item[1].domain])
    ]
    return format_table(header, rows) + "\n" + LEGEND


def class_table(results: Sequence[DomainResult]) -> str:
    """A table of one run with one row a class, one column a domain: recall and number of images."""
    header = ["class", *(result.domain for result in results)]
    rows = [
        [name, *(_recall(result, i) for result in results)]
        for i, name in enumerate(results[0].classes)
    ]
    return format_table(header, rows)


def notes(results: Results) -> list[str]:
    """What a reader of the tables must know: classes skipped, classes absent, images once seen."""
    runs_of: dict[str, list[str]] = {}
    for label, of_run in results.items():
        for result in of_run:
            for note in _domain_notes(result):
                runs_of.setdefault(note, []).append(label)
    # What holds for every run is said without their names.
    return [
        note if len(labels) == len(results) else f"{', '.join(labels)}: {note}"
        for note, labels in runs_of.items()
    ]


def _domain_notes(result: DomainResult) -> list[str]:
    found = []
    if result.unknown:
        skipped = _some(f"{name} ({n})" for name, n in result.unknown.items())
        found.append(
            f"{result.domain}: skipped {sum(result.unknown.values())} images of classes that the "
            f"run does not know: {skipped}"
        )
    if (result.role, result.part) == (SOURCE, OUT) and not result.images:
        found.append(
            f"{result.domain}: members of the ensemble, whose splits differ, were together trained "
            "on every image; none is left to test on"
        )
    elif result.absent:
        found.append(f"{result.domain}: no image of {_some(result.absent)}")
    if result.role == MAYBE_SOURCE:
        found.append(
            f"{result.domain}: the run was trained on a domain of this name, but in other data (or "
            "the data has changed): some of these images may have been trained on"
        )
    return found


def _recall(result: DomainResult, index: int) -> str:
    if not result.support[index]:
        return "-"
    return f"{_percent(result.recalls[index])} ({result.support[index]})"


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f}"


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - _NAMES_SHOWN
    return ", ".join(listed[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
