"""The parts of the benchmark of the input pipeline: its data, its statistics, its tables."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qtdog_tf.data import read_folder
from qtdog_tf.data.catalog import DOMAIN_NET
from qtdog_tf.errors import UserError
from tools import _input_tables as tables
from tools._image_tree import domain_counts, make_tree
from tools._input_statistics import (
    Comparison,
    compare,
    ks_probability,
    probe_picture,
    read_results,
)
from tools._torch_program import ask_torch


def test_shares_of_domains_are_domain_nets() -> None:
    (counts,) = DOMAIN_NET.counts
    assert tuple(domain_counts(counts.total).values()) == counts.images
    assert sum(domain_counts(600_000).values()) == 600_000
    assert set(domain_counts(1).values()) == {1}


def test_a_tree_is_of_different_real_images_and_is_made_once(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "tree", 60, 24, 32)
    domain_set = read_folder(root)
    assert {d.name: len(d) for d in domain_set.domains} == domain_counts(60)
    paths = [Path(path) for domain in domain_set.domains for path in domain.paths]
    assert len({path.read_bytes() for path in paths}) == len(paths) == 60
    with Image.open(paths[7]) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (32, 24), "RGB")
        assert np.asarray(image).std() > 3
    before = paths[0].stat().st_mtime_ns
    assert make_tree(root, 60, 24, 32) == root
    assert paths[0].stat().st_mtime_ns == before
    with pytest.raises(UserError, match="holds something else than the 61 images"):
        make_tree(root, 61, 24, 32)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("box", [(0, 0, 160, 160), (10, 20, 130, 140), (36, 8, 120, 150)])
def test_a_crop_is_read_from_its_result(box: tuple[int, int, int, int], flip: bool) -> None:
    top, left, height, width = box
    cut = probe_picture(160)[top : top + height, left : left + width]
    result = np.asarray(Image.fromarray(cut).resize((64, 64), Image.Resampling.BILINEAR))
    found = read_results((result[:, ::-1] if flip else result)[None])
    assert found["flip"] == flip and found["grey"] == 0
    assert found["crop's area"][0] == pytest.approx(height * width / 160**2, abs=0.004)
    assert found["crop's ratio, logarithm"][0] == pytest.approx(math.log(width / height), abs=0.004)
    assert found["crop's centre, across"][0] == pytest.approx((left + width / 2) / 160, abs=0.004)
    assert found["crop's centre, down"][0] == pytest.approx((top + height / 2) / 160, abs=0.004)


def test_colours_are_read_from_the_result() -> None:
    picture = probe_picture(40)
    darker, redder, grey = (picture * 0.8).astype(np.uint8), picture[..., [1, 0, 2]], picture.copy()
    grey[:] = np.array(Image.fromarray(picture).convert("L"))[..., None]
    found = read_results(np.stack([picture, darker, redder, grey]))
    assert found["brightness"][:2] == pytest.approx([124.41, 0.8 * 124.41], abs=1)
    assert found["contrast"] == pytest.approx(found["brightness"], abs=1e-9)  # black is 0
    assert found["saturation"][:3] == pytest.approx([70 / 150] * 3, abs=0.01)
    # (150, 120, 80) is 34.3 degrees from red, and as far from green with red and green swapped.
    assert found["hue, turns"][:3] == pytest.approx([0, 0, (120 - 2 * 34.7) / 360], abs=0.01)
    assert np.isnan(found["hue, turns"][3]) and found["grey"].tolist() == [0, 0, 0, 1]
    assert found["mean of red"][0] == pytest.approx(0.96 * (150 + 105) / 2)


def test_equal_laws_agree_and_others_do_not() -> None:
    random = np.random.default_rng(0)
    same = [{"x": random.normal(size=3000), "r": random.random(3000) < 0.1} for _ in range(2)]
    x, r = compare(*({k: v.astype(float) for k, v in s.items()} for s in same))
    assert abs(x.z) < 3 and abs(x.z_spread) < 3 and x.ks > 0.01
    assert abs(r.z) < 3 and math.isnan(r.ks) and math.isnan(r.z_spread)
    a = random.normal(size=3000)
    (shifted,) = compare({"x": a}, {"x": random.normal(0.2, size=3000)})
    assert shifted.z < -5 and shifted.ks < 1e-4
    (wider,) = compare({"x": a}, {"x": random.normal(scale=1.2, size=3000)})
    assert abs(wider.z) < 3 and wider.z_spread < -5
    (constant,) = compare({"x": np.ones(9)}, {"x": np.ones(9)})
    assert constant.z == 0


def test_z_and_ks_by_hand() -> None:
    (row,) = compare({"x": np.array([0.0, 2.0] * 8)}, {"x": np.array([3.0, 5.0] * 8)})
    # Means 1 and 4, standard errors 1 / 4 each.
    assert row.error == pytest.approx(math.sqrt(2) / 4)
    assert row.z == pytest.approx(-3 / (math.sqrt(2) / 4))
    # Kolmogorov's distribution has its median at 0.8276.
    a, b = np.arange(20_000.0), np.arange(20_000.0) + 0.8276 / math.sqrt(10_000) * 20_000
    assert ks_probability(a, b) == pytest.approx(0.5, abs=0.01)
    assert ks_probability(a, a) == 1


def test_an_environment_without_torch_is_told_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be run: No such file"):
        ask_torch(str(tmp_path / "python"), do="nothing")
    other = tmp_path / "other"
    other.write_text('#!/bin/sh\necho \'{"missing": "no module"}\'\n')
    other.chmod(0o755)
    with pytest.raises(UserError, match=r"has no torch \(no module\): `python -m venv"):
        ask_torch(str(other), do="nothing")
    other.write_text("#!/bin/sh\necho first >&2; echo last >&2; exit 3\n")
    with pytest.raises(UserError, match="PyTorch ended with code 3: last"):
        ask_torch(str(other), do="nothing")


def test_tables() -> None:
    stage = {"seconds": 1.0, "cpu_seconds": 2.0, "mb": 100.0, "peak_mb": 120.0}
    text = tables.memory_table({1024: {"open": stage}, 2048: {"open": {**stage, "mb": 101.0}}})
    # One MiB for 1,024 images more.
    assert " ".join(text.split()).endswith("open 1.00 2.00 100 120 1.00 2.00 101 120 1024")
    check = {"seconds": 10.0, "cpu_seconds": 20.0, "mb": 3.0, "peak_mb": 4.0}
    text = " ".join(tables.check_table({10_000: check}).split())
    assert text.endswith("10,000 files 10 20 2.00 3 4")
    fast = {"images_per_second": 300.0, "cpu_ms": 2.0, "first_batch_s": 1.0, "mb": 5.0}
    slow = {"images_per_second": 100.0, "cpu_ms": 5.0, "first_batch_s": 2.0, "mb": 6.0}
    more = {**slow, "images_per_second": 150.0, "cpu_ms": 6.0}
    rounds = {"ours": [fast], "PyTorch, 1": [slow], "PyTorch, 8": [more]}
    assert tables.fastest(rounds) == "PyTorch, 8" and tables.most_frugal(rounds) == "PyTorch, 1"
    assert tables.fastest({"ours": [fast]}) == tables.most_frugal({"ours": [fast]}) == "ours"
    ours = tables.rate_table(rounds).splitlines()[2]
    assert "2.00 (2.00 - 2.00)" in ours and "2.50 (2.50 - 2.50)" in ours
    rate = Comparison("flip", 0.5, 0.49, 0.01, 1.0, math.nan, math.nan)
    last = tables.statistics_table([rate]).splitlines()[-1]
    assert last.split() == ["flip", "0.5000", "0.4900", "0.0100", "+1.00"]
