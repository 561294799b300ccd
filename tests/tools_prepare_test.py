"""tools.prepare as a person runs it: what to get, tables, sentences, training on the result."""

from pathlib import Path

import pytest

from qtdog_tf.data.catalog import PACS
from tests.idx_files import write_idx_files
from tests.layouts import below, write_zip
from tests.programs import assert_refused, run_program

TRAINING = {
    "target_domains": "45",
    "backbone": "tiny",
    "weights": "none",
    "image_size": 28,
    "images_per_domain": 4,
    "steps": 2,
    "quantize_step": 1,
    "eval_every": 2,
    "variants": "erm",
    "check_data": False,
}


def test_it_says_what_to_download() -> None:
    done = run_program("prepare", dataset="terra_incognita")
    assert done.returncode == 0, done.stderr
    assert (
        "eccv_18_all_images_sm.tar.gz, eccv_18_annotations.tar.gz from lila.science" in done.stdout
    )
    assert "together 24,788" in done.stdout and "together 24,330" in done.stdout


def test_training_runs_on_what_it_writes(tmp_path: Path) -> None:
    flags = {"dataset": "rotated_fashion_mnist", "output": str(tmp_path / "data")}
    flags["from"] = str(write_idx_files(tmp_path / "idx", train=150, test=30))
    done = run_program("prepare", **flags)
    assert done.returncode == 0, done.stderr
    assert "the counts are those of no known version" in done.stdout
    assert "warning: domain 0 has 30 images, 11,637 fewer than 11,667" in done.stdout
    assert "180 images, 0 of them were there" in done.stdout
    assert "preparing: 100%" in done.stderr and "image/s" in done.stderr
    again = run_program("prepare", **flags)
    assert "180 images, 180 of them were there" in again.stdout
    trained = run_program("train", data=tmp_path / "data", output=tmp_path / "run", **TRAINING)
    assert trained.returncode == 0, trained.stderr


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"dataset": "pcas"}, "value should be one of <pacs|vlcs"),
        ({"dataset": "pacs", "from": "."}, "--output is missing"),
        ({"dataset": "pacs", "from": "{empty}", "output": "{out}"}, "lacks PACS.zip of PACS: get"),
        ({"dataset": "pacs", "from": "{down}", "output": "{out}"}, "domain sketch has no image"),
    ],
)
def test_mistakes_become_one_sentence(flags: dict[str, str], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    files = {n: c for n, c in below("kfold/", PACS).items() if "/sketch/" not in n}
    write_zip(tmp_path / "down/PACS.zip", files)
    names = {name: str(tmp_path / name) for name in ("empty", "down", "out")}
    done = run_program("prepare", **{k: v.format(**names) for k, v in flags.items()})
    assert done.returncode == 2
    assert sentence in done.stderr
    if "preparing" not in done.stderr:
        assert_refused(done, sentence)
    assert not (tmp_path / "out").exists()
