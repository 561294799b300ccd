"""On what a run is validated and tested in the domains that it is trained on."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from qtdog_tf.data import halve_held_out, open_domains, split_domains
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.data.splits import file_group
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.saved_model import load_saved_model
from qtdog_tf.runs import ResultsLog
from qtdog_tf.training.evaluation import predict_logits, score
from qtdog_tf.training.progress import PhaseProgress
from qtdog_tf.training.roles import Roles
from qtdog_tf.training.teacher import Teacher
from qtdog_tf.training.trial import Trial
from qtdog_tf.training.validation import plan_validation
from qtdog_tf.training.variants import parse_variants
from tests.trials import ROLES, SETTINGS

TESTED = dataclasses.replace(SETTINGS, holdout=0.4, in_domain_test=True)
GROUPS = "^[0-9a-f]+"


@pytest.mark.parametrize("split_by", [None, GROUPS])
def test_halves_of_what_is_set_aside(domain_set: DomainSet, split_by: str | None) -> None:
    whole = open_domains("emoji_styles") if split_by else domain_set
    splits = split_domains(whole, 1, 0.4, split_by)
    validation, tests = halve_held_out(whole, splits, 1, split_by)
    groups: dict[str, set[str]] = {"in": set(), "out": set(), "test": set()}
    for domain in whole.domains:
        split, test = validation[domain.name], tests[domain.name]
        np.testing.assert_array_equal(split.in_, splits[domain.name].in_)
        assert sorted([*split.out, *test]) == sorted(splits[domain.name].out)
        assert abs(len(test) - len(split.out)) <= (0.2 * len(domain) if split_by else 0)
        if split_by:
            parts = {"in": split.in_, "out": split.out, "test": test}
            for name, indices in parts.items():
                paths = domain.paths_at(indices)
                groups[name] |= {file_group(path, re.compile(split_by)) for path in paths}
    assert not groups["in"] & groups["test"] and not groups["out"] & groups["test"]
    assert bool(groups["test"]) == bool(split_by)
    again = halve_held_out(whole, splits, 1, split_by)[1]
    assert all(np.array_equal(again[name], tests[name]) for name in tests)


def test_too_few_to_halve(domain_set: DomainSet) -> None:
    splits = split_domains(domain_set, 0, 0.05)
    with pytest.raises(UserError, match="'flat' has 1 images set aside, too few to halve"):
        halve_held_out(domain_set, splits, 0)


def test_targets_keep_their_parts_and_no_test_without_the_setting(domain_set: DomainSet) -> None:
    splits = split_domains(domain_set, 0, 0.4)
    planned = plan_validation(domain_set, splits, ROLES, 0, TESTED)
    assert planned.splits["line"] is splits["line"] and planned.tests.keys() == set(ROLES.sources)
    assert len(planned.splits["flat"].out) == 6 and len(planned.tests["flat"]) == 6
    plain = plan_validation(domain_set, splits, ROLES, 0, SETTINGS)
    assert plain.splits is splits and not plain.tests and not plain.last_only and not plain.record
    teacher = Teacher(lambda: None, {}, {})  # type: ignore[arg-type, return-value]
    with pytest.raises(UserError, match="in_domain_test has no place beside a teacher"):
        plan_validation(domain_set, splits, ROLES, 0, TESTED, teacher)


def test_a_run_is_selected_on_one_half_and_reported_on_the_other(
    domain_set: DomainSet, tmp_path: Path
) -> None:
    roles = Roles(("flat", "gradient", "line"), ())
    trial = Trial(TESTED, domain_set, roles, 0, tmp_path, PhaseProgress(9, enabled=False))
    (summary,) = trial.run(parse_variants(("erm",)))
    row = summary["rows"]["raw/last"]
    model = load_saved_model(tmp_path / "all_domains-trial0" / "erm" / "last.keras")
    _, tests = halve_held_out(domain_set, trial.data.splits, 0)
    found = {}
    for part in trial.data.parts():
        if part.split == "test":
            expected = domain_set.domain(part.domain).labels[tests[part.domain]]
            np.testing.assert_array_equal(part.labels, expected)
            found[part.domain] = score(predict_logits(model, part.images), part.labels).accuracy
    assert found.keys() == set(roles.sources)
    assert row["source_test"] == pytest.approx(np.mean(list(found.values())))
    assert "target_in" not in row and "source_train_accuracy" in row
    log = ResultsLog(tmp_path / "all_domains-trial0" / "erm" / "results.jsonl").read()
    for evaluation in log:
        counts = {split: score.images for split, score in evaluation.source["flat"].items()}
        assert counts["out"] == counts["test"] == 6
