"""The tables of tools/benchmark_input.py: what was measured, as text."""

import math
import statistics
from collections.abc import Mapping, Sequence

from qtdog_tf.tables import format_table
from tools._input_statistics import Comparison

# How contenders are called.
TORCH = "PyTorch"

Figures = Mapping[str, float]
Rounds = Mapping[str, Sequence[Figures]]


def memory_table(found: Mapping[int, Mapping[str, Figures]]) -> str:
    """Start and memory, stage by stage.

    Args:
        found: by number of images and stage, "seconds", "cpu_seconds", "mb" and "peak_mb"; of two
            or more numbers, the last column says what an image of the largest takes more.
    """
    counts = sorted(found)
    few, many = counts[0], counts[-1]
    header = ["stage"]
    for count in counts:
        header += [f"{count:,}: s", "cpu s", "MiB", "peak"]
    rows = []
    for stage in found[few]:
        cells = [stage]
        for count in counts:
            values = found[count][stage]
            cells += [f"{values[key]:.2f}" for key in ("seconds", "cpu_seconds")]
            cells += [f"{values[key]:,.0f}" for key in ("mb", "peak_mb")]
        if few < many:
            more = found[many][stage]["mb"] - found[few][stage]["mb"]
            cells.append(f"{more * 2**20 / (many - few):.0f}")
        rows.append(cells)
    return format_table([*header, "bytes an image"] if few < many else header, rows)


def check_table(found: Mapping[int, Figures]) -> str:
    """The check of every image, by number of images."""
    rows = [
        [
            f"{count:,} files",
            *(f"{values[key]:,.0f}" for key in ("seconds", "cpu_seconds")),
            f"{1e3 * values['cpu_seconds'] / count:.2f}",
            *(f"{values[key]:,.0f}" for key in ("mb", "peak_mb")),
        ]
        for count, values in found.items()
    ]
    header = ["check of every image", "s", "cpu s", "cpu ms an image", "MiB more", "at its peak"]
    return format_table(header, rows)


def fastest(rounds: Rounds) -> str:
    """PyTorch's contender of most images a second, or the first of all if there is none."""
    return max(_of_torch(rounds), key=lambda name: _median(rounds[name], "images_per_second"))


def most_frugal(rounds: Rounds) -> str:
    """PyTorch's contender that takes least processor time, or the first of all."""
    return min(_of_torch(rounds), key=lambda name: _median(rounds[name], "cpu_ms"))


def _of_torch(rounds: Rounds) -> list[str]:
    return [name for name in rounds if name.startswith(TORCH)] or list(rounds)[:1]


def _median(values: Sequence[Figures], key: str) -> float:
    return statistics.median(value[key] for value in values)


def rate_table(rounds: Rounds) -> str:
    """Images a second and processor time of each contender, also beside the best of PyTorch.

    By images a second that is the fastest of its settings, by processor time the most frugal.
    """
    quick, frugal = rounds[fastest(rounds)], rounds[most_frugal(rounds)]
    rows = [
        [
            contender,
            _scatter([v["images_per_second"] for v in values]),
            _scatter([v["cpu_ms"] for v in values]),
            _scatter(
                [
                    mine["images_per_second"] / its["images_per_second"]
                    for mine, its in zip(values, quick, strict=True)
                ]
            ),
            _scatter(
                [its["cpu_ms"] / mine["cpu_ms"] for mine, its in zip(values, frugal, strict=True)]
            ),
            _scatter([v["first_batch_s"] for v in values]),
            f"{values[-1]['mb']:,.0f}",
        ]
        for contender, values in rounds.items()
    ]
    times = ["times by images/s", "times by cpu"]
    header = ["contender", "images/s", "cpu ms an image", *times, "first batch s", "MiB"]
    return format_table(header, rows)


def statistics_table(found: Sequence[Comparison]) -> str:
    """The comparison of two implementations; a rate has no z of its deviation and no KS test."""
    rows = [
        [
            row.name,
            *(f"{value:.4f}" for value in (row.ours, row.theirs, row.error)),
            *("" if math.isnan(value) else f"{value:+.2f}" for value in (row.z, row.z_spread)),
            "" if math.isnan(row.ks) else f"{row.ks:.3f}",
        ]
        for row in found
    ]
    header = ["quantity", "ours", TORCH, "standard error", "z", "z of deviation", "KS p"]
    return format_table(header, rows)


def _scatter(numbers: Sequence[float]) -> str:
    """The median, and the range."""
    digits = 0 if statistics.median(numbers) > 20 else 2
    low, middle, high = (
        f"{number:,.{digits}f}"
        for number in (min(numbers), statistics.median(numbers), max(numbers))
    )
    return f"{middle} ({low} - {high})"
