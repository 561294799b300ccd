"""The published figures: typed once more here for a sample, averages checked, mistakes refused."""

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

from qtdog_tf.data.catalog import CATALOG
from qtdog_tf.published import AVERAGE, SOURCE, TARGET, Figure, printed_average, published
from qtdog_tf.published.reading import check_table, read_tables
from tests.programs import REPOSITORY

FIVE = ("pacs", "vlcs", "office_home", "terra_incognita", "domain_net")


def values(**asked: Any) -> list[float]:
    return [figure.value for figure in published(**asked)]


def rows() -> list[list[Figure]]:
    found: dict[tuple, list[Figure]] = {}
    for figure in published():
        key = (figure.table, figure.method, figure.bits, str(figure.setting))
        found.setdefault(key, []).append(figure)
    return list(found.values())


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"table": "main", "method": "QT-DoG"}, [87.8, 78.4, 68.9, 50.8, 45.1, 66.2]),
        ({"table": "main", "method": "EoQ"}, [89.3, 79.5, 72.3, 53.2, 47.9, 68.4]),
        ({"table": "main", "method": "MMD"}, [85.0, 76.7, 67.7, 49.3, 39.4, 63.6]),
        ({"table": "main", "method": "CCFP"}, [86.6, 78.9, 68.9, 48.6, 41.2, 64.8]),
        ({"section": "8.1", "method": "SMA"}, [87.5, 78.2, 70.6, 50.3, 46.0, 66.5]),
        ({"section": "8.1", "method": "SAM"}, [85.8, 79.4, 69.6, 43.3, 44.3]),
        ({"table": "example_run"}, [87.2, 85.4, 85.3, 88.1]),
        ({"table": "pacs_domains", "method": "QT-DoG"}, [89.1, 82.4, 96.9, 82.3, 87.8]),
        ({"table": "terra_domains", "method": "EoQ"}, [61.8, 48.2, 59.2, 43.7, 53.2]),
        ({"data": "domain_net", "section": "8.2"}, [58.1, 18.8, 46.7, 12.2, 59.6, 49.8, 40.9]),
        ({"table": "domainbed_digits"}, [98.0, 51.5]),
        ({"table": "combinations", "data": "terra_incognita"}, [47.1, 50.6, 44.0, 47.7]),
        (
            {"table": "bits", "data": "pacs", "part": TARGET},
            [84.7, 85.0, 87.8, 86.5, 85.3, 84.3, 83.3, 82.8],
        ),
        (
            {"table": "bits", "data": "terra_incognita", "part": SOURCE},
            [91.7, 90.9, 92.3, 91.1, 91.0],
        ),
        ({"table": "quantizer", "part": TARGET}, [84.7, 83.7, 87.4, 87.8]),
        ({"table": "granularity"}, [86.3, 87.8]),
        ({"table": "start_step"}, [86.2, 87.8, 86.9, 85.1]),
        ({"table": "uniform_noise"}, [82.9, 83.8, 85.1, 85.6]),
        ({"section": "8.6", "data": "pacs"}, [96.6, 97.3, 97.1, 96.8, 97.7, 97.3]),
        ({"table": "resnext50", "method": "EoQ"}, [93.5, 80.3, 80.3, 55.6, 54.8, 72.9]),
        ({"table": "regnety"}, [70.6, 75.6, 76.6]),
        ({"table": "clip", "method": "QT-DoG"}, [63.1, 61.9, 86.7]),
        ({"data": "wilds_camelyon", "part": TARGET}, [70.3, 78.4]),
        ({"table": "latency"}, [34.28, 21.02]),
    ],
)
def test_figures_as_they_are_printed(asked: dict[str, Any], expected: list[float]) -> None:
    assert values(**asked) == expected


def test_how_many_there_are() -> None:
    sections = Counter(figure.section for figure in published())
    # 8.1: 23 rows of six, SMA of six, SAM of five, four of the example run. 8.5: 8 + 2 + 4 + 4.
    assert sections["8.1"] == 153 and sections["8.5"] == 18
    # 8.2: twelve rows of five, DomainBed's of 5, 5, 5, 5, 7 and two.
    assert sections["8.2"] == 89
    assert (sections["8.3"], sections["8.4"], sections["8.6"]) == (8, 23, 12)
    # 8.7: 6, 36, 3, 9, 4, 4, 2.
    assert sections["8.7"] == 64


def test_errors_bits_and_what_a_row_stands_for() -> None:
    (figure,) = published(table="main", method="QT-DoG", data="domain_net")
    assert (figure.error, figure.bits, figure.size, figure.models) == (0.9, 7, 0.22, 1)
    assert figure.source.endswith("Table 1") and figure.backbone == "resnet50"
    (ensemble,) = published(table="main", method="EoQ", data=AVERAGE)
    assert (ensemble.error, ensemble.models, ensemble.size) == (None, 5, 1.1)
    (early,) = (f for f in published(table="start_step") if f.setting["quantize_step"] == 1000)
    assert early.value == 86.2
    assert [f.setting["noise_amplitude"] for f in published(table="uniform_noise")] == [
        1e-4,
        5e-5,
        1e-5,
        5e-6,
    ]


def test_a_printed_average_is_the_mean_unless_it_is_marked() -> None:
    checked = 0
    for row in rows():
        average = printed_average(row)
        if average is None:
            continue
        mean = np.mean([figure.value for figure in row if figure is not average])
        assert (abs(mean - average.value) > 0.1001) == average.doubtful, average
        checked += 1
    assert checked == 24 + 6 + 6 + 5 + 6


def test_known_mistakes_are_marked_and_explained() -> None:
    wrong = {(f.table, f.method, f.data, f.value) for f in published() if f.doubtful}
    assert wrong == {
        ("main", "ERM", AVERAGE, 63.8),
        ("main", "Fishr", AVERAGE, 65.7),
        ("main", "DART", "pacs", 78.5),
        ("main", "DART", "vlcs", 87.3),
        ("pacs_domains", "QT-DoG", "pacs", 87.8),
    }
    notes = {f.method: f.note for f in published(table="main") if f.doubtful}
    assert "63.4" in notes["ERM"] and "64.0" in notes["Fishr"] and "swapped" in notes["DART"]
    assert "missing in Table 1" in published(table="main_sma")[0].note
    assert published(table="main_sam")[0].source.startswith("SWAD, issue 20")


def test_every_domain_of_a_set_or_none_has_a_figure() -> None:
    for row in rows():
        domains = [figure.domain for figure in row if figure.domain]
        if domains:
            assert tuple(domains) == CATALOG[row[0].data].domains
        elif printed_average(row):
            assert tuple(figure.data for figure in row) == (*FIVE, AVERAGE)


def good_table() -> dict[str, Any]:
    return {
        "section": "8.1",
        "source": "a paper",
        "backbone": "resnet50",
        "columns": [{"data": "pacs"}, {"data": "vlcs"}],
        "rows": [{"method": "A", "values": [50.0, [60.0, 1.0]], "average": 55.0}],
    }


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.pop("source"), "missing or unknown"),
        (lambda t: t.update(colour="red"), "missing or unknown"),
        (lambda t: t["columns"][0].update(data="pcas"), "no data set 'pcas'"),
        (lambda t: t["columns"][0].update(domain="photos"), "no domain 'photos'"),
        (lambda t: t["columns"][0].update(part="all"), "part must be"),
        (lambda t: t["rows"][0].update(vaules=[]), "missing or unknown"),
        (lambda t: t["rows"][0]["values"].pop(), "2 values are needed"),
        (lambda t: t["rows"][0].update(values=[50.0, [60.0, 10.0]]), "no accuracy"),
        (lambda t: t["rows"][0].update(average=550), "no accuracy"),
        (lambda t: t["rows"][0].update(bits=1), "bits must be"),
        (lambda t: t["rows"][0].update(doubtful=["pacs"]), "a note must say why"),
        (lambda t: t["rows"][0].update(doubtful=["office_home"], note="x"), "name columns"),
        (lambda t: t["rows"].append(dict(t["rows"][0])), "a row twice"),
    ],
)
def test_a_mistake_in_the_file_is_noticed(change: Any, sentence: str) -> None:
    table = good_table()
    check_table("t", table)
    change(table)
    with pytest.raises(ValueError, match=sentence):
        check_table("t", table)


def test_the_files_say_nothing_twice() -> None:
    assert sum(len(table["rows"]) for table in read_tables().values()) == len(rows())


def test_sections_of_the_method_that_are_cited_exist() -> None:
    method = (REPOSITORY / "qtdog_tf" / "published" / "method.md").read_text(encoding="utf-8")
    there = set(re.findall(r"^#{2,3} (\d+(?:\.\d+)?)", method, re.MULTILINE))
    there |= set(re.findall(r"^\*\*(\d+\.\d+)", method, re.MULTILINE))
    cited = set()
    for folder, ending in (("qtdog_tf", "py"), ("tools", "py"), ("configs", "flags")):
        for path in (REPOSITORY / folder).rglob(f"*.{ending}"):
            text = re.sub(r"\s*\n#?\s*", " ", path.read_text(encoding="utf-8"))
            for numbers in re.findall(
                r"method,? (?:sections? )?((?:\d+(?:\.\d+)?(?:, | and | to )?)+)", text
            ):
                cited |= set(re.findall(r"\d+(?:\.\d+)?", numbers))
    assert len(cited) > 20 and cited <= there
