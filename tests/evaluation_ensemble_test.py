"""Ensembles of run folders: what they are measured on, what they have not seen, what is refused."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtdog_tf.data import open_domains, split_domains
from qtdog_tf.data.splits import Split, split_indices
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import (
    Run,
    choose_images,
    ensemble_table,
    evaluate_run,
    make_ensemble,
    notes,
    open_run,
)
from qtdog_tf.evaluation.member_splits import common_split
from qtdog_tf.training.variants import parse_variant
from tests.small_data import CLASSES
from tests.untrained_runs import make_run


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    root = tmp_path_factory.mktemp("runs")
    return [make_run(root / f"trial{seed}", data, seed) for seed in range(3)]


def test_figures_are_of_the_whole_target_and_of_the_first_members_part(
    runs: list[Run], data: Path, tmp_path: Path
) -> None:
    summary = make_ensemble(runs, tmp_path / "eoq")
    domain_set = open_domains(str(data))
    labels = domain_set.domain("line").labels
    part = split_domains(domain_set, 0)["line"].in_
    ensemble = open_run(tmp_path / "eoq")
    logits = []
    for name, run in zip(("m0", "m1", "m2", "ensemble"), [*runs, ensemble], strict=True):
        (predicted,) = evaluate_run(run, "selected_sma", choose_images(run, domain_set, ("line",)))
        right = predicted.logits.argmax(axis=1) == labels
        scores = summary["figures"][name]["domains"]["line"]
        assert scores["all"]["accuracy"] == pytest.approx(right.mean())
        assert scores["in"]["accuracy"] == pytest.approx(right[part].mean())
        assert (scores["all"]["images"], scores["in"]["images"]) == (30, 24)
        logits.append(predicted.logits)
    np.testing.assert_allclose(logits[3], np.mean(logits[:3], axis=0), rtol=1e-5, atol=1e-5)
    assert summary["rows"]["sma/source_validation"]["target_all"] == pytest.approx(right.mean())
    assert json.loads((tmp_path / "eoq" / "summary.json").read_text()) == summary

    accuracies = [
        summary["figures"][f"m{i}"]["domains"]["line"]["all"]["accuracy"] for i in range(3)
    ]
    rows = [line.split() for line in ensemble_table([summary]).splitlines()[2:7]]
    assert [row[1] for row in rows] == ["m0", "m1", "m2", "mean", "ensemble,"]
    assert rows[3][2] == f"{100 * np.mean(accuracies):.1f}"
    assert rows[4][2:5] == ["logits", "eoq7", "7"] and rows[4][6] == f"{100 * right.mean():.1f}"


def test_the_folder_is_that_of_a_run(runs: list[Run], tmp_path: Path) -> None:
    make_ensemble(runs, tmp_path / "eoq", average="probabilities")
    run = open_run(tmp_path / "eoq")
    assert (run.variant, run.bits, run.backbone, run.classes) == ("eoq7", 7, "tiny", CLASSES)
    assert (run.sources, run.targets) == (("flat", "gradient"), ("line",))
    assert [(m.path, m.trial_seed, m.split) for m in run.members] == [
        (m.path, m.trial_seed, m.split) for m in runs
    ]


def test_a_finished_ensemble_is_left_alone(runs: list[Run], tmp_path: Path) -> None:
    output = tmp_path / "eoq"
    summary = make_ensemble(runs, output)
    before = {path: path.stat().st_mtime_ns for path in output.iterdir()}
    assert make_ensemble(runs, output) == summary
    assert {path: path.stat().st_mtime_ns for path in output.iterdir()} == before
    (output / "summary.json").unlink()
    assert make_ensemble(runs, output) == summary


def test_images_that_any_member_was_trained_on_are_not_unseen(
    runs: list[Run], data: Path, tmp_path: Path
) -> None:
    make_ensemble(runs[:2], tmp_path / "eoq", evaluate=False)
    domain_set = open_domains(str(data))
    run = open_run(tmp_path / "eoq")
    chosen = {images.domain.name: images for images in choose_images(run, domain_set)}
    for name in ("flat", "gradient"):
        held_out = [set(split_domains(domain_set, seed)[name].out.tolist()) for seed in (0, 1)]
        paths = domain_set.domain(name).paths
        assert set(chosen[name].domain.paths) == {paths[i] for i in held_out[0] & held_out[1]}
    assert (chosen["line"].role, len(chosen["line"].domain)) == ("target", 30)
    (first,) = choose_images(run, domain_set, ("line",), "in")
    (own,) = choose_images(runs[0], domain_set, ("line",), "in")
    assert first.domain.paths == own.domain.paths


def test_nothing_unseen_is_said_and_no_crash(data: Path, tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"trial{seed}", data, seed) for seed in range(7)]
    make_ensemble(runs, tmp_path / "eoq", evaluate=False)
    run = open_run(tmp_path / "eoq")
    domain_set = open_domains(str(data))
    results = [p.result for p in evaluate_run(run, "selected_sma", choose_images(run, domain_set))]
    assert [result.images for result in results] == [0, 0, 30]
    assert notes({"eoq": results}) == [
        f"{name}: members of the ensemble, whose splits differ, were together trained on every "
        "image; none is left to test on"
        for name in ("flat", "gradient")
    ]
    with pytest.raises(UserError, match="no image of flat is left to test .*--part=all"):
        choose_images(run, domain_set, ("flat",))


def test_a_domain_that_some_members_held_out_is_no_target(
    runs: list[Run], data: Path, tmp_path: Path
) -> None:
    other = make_run(tmp_path / "other", data, 0, "flat")
    summary = make_ensemble([runs[0], other], tmp_path / "eoq")
    assert "there is no domain that every member held out" in ensemble_table([summary])
    run = open_run(tmp_path / "eoq")
    assert (run.sources, run.targets) == (("flat", "gradient", "line"), ())
    # Of "flat" only the first member has seen the 80 % part.
    domain_set = open_domains(str(data))
    (flat,) = choose_images(run, domain_set, ("flat",))
    assert (flat.role, len(flat.domain)) == ("source", 6)


def test_members_of_other_data_own_nothing(runs: list[Run], data: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", data, listing="0123")
    summary = make_ensemble([runs[0], other], tmp_path / "eoq")
    assert "members were trained on different data" in ensemble_table([summary])
    run = open_run(tmp_path / "eoq")
    chosen = choose_images(run, open_domains(str(data)))
    assert [images.role for images in chosen] == ["source?", "source?", "new"]


@pytest.mark.parametrize(
    ("variants", "expected"),
    [
        (["qtdog7", "qtdog7_m1"], {"name": "eoq7", "mode": "train", "bits": 7}),
        (["qtdog4", "qtdog7"], {"name": "ensemble", "mode": "train", "bits": 7}),
        (["frozen5", "frozen5"], {"name": "frozen5_ensemble", "mode": "frozen", "bits": 5}),
        (["erm", "erm"], {"name": "eoa", "mode": "off", "bits": 32}),
        (["erm", "qtdog7"], {"name": "ensemble", "mode": "mixed", "bits": 32}),
    ],
)
def test_an_ensemble_is_named_by_its_members(
    data: Path, tmp_path: Path, variants: list[str], expected: dict[str, Any]
) -> None:
    runs = [
        make_run(tmp_path / f"{i}", data, i, variant=dataclasses.asdict(parse_variant(name)))
        for i, name in enumerate(variants)
    ]
    summary = make_ensemble(runs, tmp_path / "ensemble", evaluate=False)
    assert summary["variant"] == expected
    assert "evaluation was not asked for" in ensemble_table([summary])


def test_members_that_do_not_fit_are_refused(runs: list[Run], data: Path, tmp_path: Path) -> None:
    output = tmp_path / "eoq"
    swapped = make_run(tmp_path / "swapped", data, classes=["face", "vehicle", "hand"])
    with pytest.raises(UserError, match="class number 1 is 'hand' for .* 'vehicle' for .*swapped"):
        make_ensemble([runs[0], swapped], output)
    more = make_run(tmp_path / "more", data, classes=[*CLASSES, "robot"])
    with pytest.raises(UserError, match="class number 3 is 'none' for .* 'robot' for .*more"):
        make_ensemble([runs[0], more], output)
    small = make_run(tmp_path / "small", data, image_size=8)
    with pytest.raises(UserError, match="images of one size: .* takes 16 .*small takes 8"):
        make_ensemble([runs[0], small], output)
    with pytest.raises(UserError, match="two or more runs; received 1"):
        make_ensemble(runs[:1], output)
    with pytest.raises(UserError, match=r"no model .*last\.keras"):
        make_ensemble(runs, output, model="last")
    changed = make_run(tmp_path / "changed", data, listing="0123")
    with pytest.raises(UserError, match="has changed since .*--noevaluate"):
        make_ensemble([changed, dataclasses.replace(changed)], output)
    assert not output.exists()
    make_ensemble(runs, output, evaluate=False)
    with pytest.raises(UserError, match="is an ensemble itself"):
        make_ensemble([runs[0], open_run(output)], tmp_path / "both")


def test_output_of_something_else_is_refused(runs: list[Run], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds other files and no ensemble\.json"):
        make_ensemble(runs, runs[0].path)
    make_ensemble(runs[:2], tmp_path / "eoq")
    with pytest.raises(UserError, match="m2: 'qtdog7 of trial 2, file"):
        make_ensemble(runs, tmp_path / "eoq")
    with pytest.raises(UserError, match="average: 'probabilities' / 'logits'"):
        make_ensemble(runs[:2], tmp_path / "eoq", average="probabilities")


def test_damaged_members_in_run_json_are_named(runs: list[Run], tmp_path: Path) -> None:
    make_ensemble(runs, tmp_path / "eoq", evaluate=False)
    path = tmp_path / "eoq" / "run.json"
    values = json.loads(path.read_text())
    for wrong in ({"holdout": "a fifth"}, {"sources": [3]}, {"run": None}, {"variant": {}}):
        changed = [values["members"][0], {**values["members"][1], **wrong}]
        path.write_text(json.dumps({**values, "members": changed}))
        with pytest.raises(
            UserError, match=f"run.json is damaged .member 1: '{next(iter(wrong))}'"
        ):
            open_run(path.parent)
    path.write_text(json.dumps({**values, "members": "many"}))
    with pytest.raises(UserError, match="'members' is of the wrong type"):
        open_run(path.parent)


@given(st.lists(st.tuples(st.integers(0, 99), st.booleans()), min_size=1, max_size=5))
def test_common_split_holds_out_what_no_member_has_seen(members: list[tuple[int, bool]]) -> None:
    count = 20
    splits = [Split(*split_indices(count, seed)) for seed, _ in members]
    trained = [is_source for _, is_source in members]
    common = common_split(splits, trained)
    if not any(trained):
        np.testing.assert_array_equal(common.in_, splits[0].in_)
        assert set(common.out) == set.intersection(*(set(split.out) for split in splits))
        return
    seen = set().union(*(split.in_ for split, own in zip(splits, trained, strict=True) if own))
    assert set(common.in_) == seen and set(common.out) == set(range(count)) - seen
    assert len(common.in_) + len(common.out) == count


@pytest.mark.parametrize("trained", [True, False])
def test_the_split_that_all_members_have_is_the_common_one(trained: bool) -> None:
    split = Split(*split_indices(50, 3))
    common = common_split([split] * 3, [trained] * 3)
    np.testing.assert_array_equal(common.in_, split.in_)
    np.testing.assert_array_equal(common.out, split.out)
