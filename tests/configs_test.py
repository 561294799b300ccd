"""Every flagfile of an experiment: it parses, and its numbers are those of the method."""

import re
from pathlib import Path

import pytest
from absl import flags

from qtdog_tf.data.catalog import find_entry
from qtdog_tf.models import BACKBONES
from qtdog_tf.sweep.experiment import Experiment, data_name
from qtdog_tf.training.variants import parse_variants
from tests.build_files import ROOT
from tools._experiments import SETTINGS, read_experiments
from tools._flags import define_flags

CONFIGS = ROOT / "configs"
PHOTOS = ("pacs", "vlcs", "office_home", "terra_incognita", "domain_net")
DIGITS = ("rotated_mnist", "colored_mnist")
METHODS = ("erm", "qtdog", "eoq")
# Number of domains; steps, K and evaluation (method, sections 1.1 and 6.1).
TABLE = {
    "pacs": (4, 5001, 2000, 300),
    "vlcs": (4, 5001, 2000, 300),
    "office_home": (4, 5001, 2000, 300),
    "terra_incognita": (4, 5001, 2000, 300),
    "domain_net": (6, 15001, 8000, 1000),
    "rotated_mnist": (6, 5001, 2000, 300),
    "colored_mnist": (3, 5001, 2000, 300),
    "rotated_fashion_mnist": (6, 400, 160, 80),
    "emoji_styles": (4, 800, 320, 160),
}
NETWORKS = {
    **dict.fromkeys(PHOTOS, "resnet50"),
    **dict.fromkeys(DIGITS, "mnist_cnn"),
    "rotated_fashion_mnist": "mnist_cnn_quarter",
    "emoji_styles": "efficientnet_lite0",
}
PROTOCOL = [(name, network, how) for name, network in NETWORKS.items() for how in METHODS]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flagfiles name one another from there."""
    monkeypatch.chdir(ROOT)


def read(*paths: str | Path) -> list[Experiment]:
    nothing_given = flags.FlagValues()
    define_flags(*SETTINGS, values=nothing_given)
    nothing_given(["test"])
    return read_experiments([str(path) for path in paths], nothing_given, Path("runs"))


def named(*names: str) -> list[Experiment]:
    return read(*(f"configs/{name}.flags" for name in names))


@pytest.mark.parametrize(("data_set", "network", "how"), PROTOCOL)
def test_an_experiment_is_that_of_the_method(data_set: str, network: str, how: str) -> None:
    name = f"{data_set}_{network}_{how}"
    (experiment,) = named(name)
    settings, wanted = experiment.settings, experiment.wanted
    _, *schedule = TABLE[data_set]
    assert [settings.steps, settings.quantize_step, settings.eval_every] == schedule
    assert data_name(settings.data) == data_set and settings.backbone == network in BACKBONES
    assert experiment.group == f"{data_set}_{network}"
    assert experiment.algorithm.algorithm == "erm" and not settings.select_from_float
    assert wanted.target_domains == ("all",)
    (variant,) = parse_variants(wanted.variants)
    assert variant.name == ("erm" if how == "erm" else "qtdog7")
    papers = data_set in PHOTOS + DIGITS
    alone = how == "eoq" and papers
    assert wanted.seeds == ([0] if alone else [0, 1, 2])
    assert wanted.members == ((5 if papers else 3) if how == "eoq" else 1)


@pytest.mark.parametrize("data_set", PHOTOS)
def test_photographs_are_trained_on_as_in_the_paper(data_set: str) -> None:
    (experiment,) = named(f"{data_set}_resnet50_qtdog")
    settings = experiment.settings
    assert (settings.learning_rate, settings.images_per_domain, settings.image_size) == (
        5e-5,
        32,
        224,
    )
    assert (settings.augment, settings.weight_decay, settings.dropout) == ("domainbed", 0, 0)
    assert settings.weights == "weights/resnet50.safetensors" and settings.freeze_batch_norm


@pytest.mark.parametrize("data_set", [*DIGITS, "rotated_fashion_mnist"])
def test_digits_are_trained_on_as_in_domain_bed(data_set: str) -> None:
    (experiment,) = named(f"{data_set}_{NETWORKS[data_set]}_erm")
    settings = experiment.settings
    assert (settings.augment, settings.image_size, settings.weights) == ("none", 28, "none")
    if data_set in DIGITS:
        assert (settings.learning_rate, settings.images_per_domain) == (1e-3, 64)


@pytest.mark.parametrize(("data_set", "network"), NETWORKS.items())
def test_the_methods_of_a_data_set_share_float_phases_and_members(
    data_set: str, network: str
) -> None:
    """One folder of runs has one mark of settings."""
    experiments = named(*(f"{data_set}_{network}_{how}" for how in METHODS))
    assert len({experiment.group for experiment in experiments}) == 1
    assert len({experiment.settings for experiment in experiments}) == 1


def test_the_released_code_is_laid_over_an_experiment(tmp_path: Path) -> None:
    both = tmp_path / "released.flags"
    both.write_text(
        "--flagfile=configs/pacs_resnet50_qtdog.flags\n--flagfile=configs/released_code.flags\n"
    )
    (experiment,) = read(both)
    settings = experiment.settings
    assert experiment.wanted.variants == ("frozen7",)
    assert (settings.steps, settings.eval_every, settings.select_from_float) == (5001, 200, True)
    assert (settings.averages, settings.swad_mode) == (("sma", "swad"), "code")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.flags")), ids=lambda path: path.stem)
def test_a_flagfile_says_what_it_is_for(path: Path) -> None:
    comment = [line for line in path.read_text().splitlines() if line.startswith("#")]
    text = "\n".join(comment)
    for word in ("Source", "Expected", "Cost", "Command"):
        assert len(re.findall(rf"^# {word} +\S", text, re.MULTILINE)) == 1, word
    assert f"configs/{path.name}" in text or "bash tools/" in text


@pytest.mark.parametrize(("data_set", "network", "how"), PROTOCOL)
def test_the_cost_in_a_header_is_right(data_set: str, network: str, how: str) -> None:
    """Runs: one for each target and trial. Images: those of the other domains at each step."""
    name = f"{data_set}_{network}_{how}"
    (experiment,) = named(name)
    domains = TABLE[data_set][0]
    if data_set != "emoji_styles":
        assert domains == len(find_entry(data_set).domains)
    runs = domains * len(experiment.wanted.seeds) * experiment.wanted.members
    settings = experiment.settings
    images = runs * settings.steps * settings.images_per_domain * (domains - 1)
    text = (CONFIGS / f"{name}.flags").read_text()
    cost = re.search(r"^# Cost +(\d+) runs, ([\d.]+) million training images", text, re.MULTILINE)
    assert cost is not None
    assert (int(cost[1]), float(cost[2])) == (runs, round(images / 1e6, 1))
