import pytest

from qtdog_tf.export.capability import backbone_warning, integer_obstacles
from qtdog_tf.models import BACKBONES, build_classifier


@pytest.mark.parametrize("backbone", [*BACKBONES, "applications/MobileNetV2"])
def test_the_backbones_that_are_promised_have_an_integer_form(backbone):
    model = build_classifier(backbone, 3, image_size=64, weights=None)
    assert integer_obstacles(model) == []
    assert backbone_warning(backbone, 64) is None


def test_a_network_with_other_activations_is_named_before_training():
    warning = backbone_warning("applications/MobileNetV3Small", 64)
    assert "activation (Activation): activation 'hard_silu' stays float, and" in warning
    assert "--kind=dynamic" in warning
