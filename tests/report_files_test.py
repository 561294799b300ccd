"""What a report says of exported files: the smallest that is there, and how to make each again."""

from types import SimpleNamespace
from typing import Any

import pytest

from qtdog_tf.report.files_for_phones import export_section
from qtdog_tf.report.summary_analyses import files_said
from tests.report_checks import Page


def export(size: int, passed: bool = True, **values: Any) -> dict[str, Any]:
    sizes = dict.fromkeys(("deflated_bytes", "packed_bytes"), size)
    return {
        "passed": passed,
        "settings": {"kind": "int8"},
        "checks": [{"name": "codes", "passed": passed, "detail": "0 mismatches"}],
        "domains": [],
        "sizes": {"bits": 7, "bytes": size, "float_bytes": 8_000_000, **sizes, "entropy_bits": 5},
        "latency_ms": {"1": 2.0} if passed else None,
        "run": "runs/a",
        **values,
    }


def test_the_smallest_file_is_one_that_passed() -> None:
    exports = {"large": export(2_000_000), "refused": export(1_000_000, passed=False)}
    said, tiles = files_said(SimpleNamespace(exports=exports))
    assert said == [
        (
            "Files.",
            "2 exported files, checks failed: refused; the smallest, large, has 2.00 MB, 4.0 "
            "times smaller than the float model.",
        )
    ]
    assert len(tiles) == 1 and "smallest file: large" in str(tiles[0])
    said, tiles = files_said(SimpleNamespace(exports={"refused": exports["refused"]}))
    assert said == [("Files.", "1 exported file, checks failed: refused.")] and tiles == []


@pytest.mark.parametrize(
    ("model", "flag"),
    [({"model": "last"}, " --model=last"), ({"model": "selected_sma"}, ""), ({}, "")],
)
def test_the_command_makes_the_same_file(model: dict[str, str], flag: str) -> None:
    section = export_section(SimpleNamespace(exports={"a": export(1_000_000, **model)}))
    made_by = f"tools.export_tflite --run=runs/a --kind=int8{flag} --output=a.tflite"
    assert made_by in Page(section.body).text
