"""The setting `augment`: what the batches of a run hold with it, and that older runs go on."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from qtdog_tf.data import read_folder, split_domains, training_batches
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.errors import UserError
from qtdog_tf.runs import claim_folder, is_claimed
from qtdog_tf.training.settings import TrainSettings
from tests.small_data import make_small_data
from tests.trials import ROLES, SETTINGS, make_trial

PLAIN = dataclasses.replace(SETTINGS, augment="none")


@pytest.fixture(scope="module")
def domain_set(tmp_path_factory: pytest.TempPathFactory) -> DomainSet:
    return read_folder(make_small_data(tmp_path_factory.mktemp("data")))


def images_of_step(domain_set: DomainSet, settings: TrainSettings, output: Path) -> np.ndarray:
    batches = make_trial(domain_set, output, settings).data.batches().between(3, 4)
    ((inputs, _),) = batches.as_numpy_iterator()
    return inputs["image"]


@pytest.mark.parametrize(("settings", "augment"), [(SETTINGS, True), (PLAIN, False)])
def test_a_run_draws_what_the_pipeline_is_told_to(
    settings: TrainSettings, augment: bool, domain_set: DomainSet, tmp_path: Path
) -> None:
    expected = training_batches(
        domain_set,
        split_domains(domain_set, 0),
        ROLES.sources,
        image_size=settings.image_size,
        images_per_domain=settings.images_per_domain,
        seed=make_trial(domain_set, tmp_path, settings).data.seed,
        start_step=3,
        stop_step=4,
        augment=augment,
    )
    ((inputs, _),) = expected.as_numpy_iterator()
    found = images_of_step(domain_set, settings, tmp_path)
    np.testing.assert_array_equal(found, inputs["image"])
    assert np.unique(found.reshape(len(found), -1), axis=0).shape[0] > 2


def test_the_same_images_are_drawn_and_look_otherwise(
    domain_set: DomainSet, tmp_path: Path
) -> None:
    trials = [make_trial(domain_set, tmp_path, settings) for settings in (SETTINGS, PLAIN)]
    assert trials[0].data.batches().paths(3) == trials[1].data.batches().paths(3)
    images = [images_of_step(domain_set, settings, tmp_path) for settings in (SETTINGS, PLAIN)]
    assert (images[0] != images[1]).any()


def test_a_folder_from_before_the_setting_belongs_to_the_default(tmp_path: Path) -> None:
    defaults = vars(TrainSettings())
    older = {name: value for name, value in defaults.items() if name != "augment"}
    claim_folder(tmp_path / "runs", "settings.json", older)
    assert is_claimed(tmp_path / "runs", "settings.json", defaults, defaults)
    with pytest.raises(UserError, match="augment: 'none' / 'domainbed'"):
        is_claimed(tmp_path / "runs", "settings.json", {**defaults, "augment": "none"}, defaults)


def test_another_augmentation_is_refused() -> None:
    with pytest.raises(UserError, match="augment must be one of domainbed, none; received 'some'"):
        TrainSettings(augment="some")
