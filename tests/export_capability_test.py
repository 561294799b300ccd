import pytest

from qtdog_tf.export.capability import (
    INTEGER_BACKBONES,
    TRANSFORMERS,
    backbone_warning,
    integer_obstacles,
)
from qtdog_tf.models import build_classifier

MOBILE = [f"applications/MobileNet{name}" for name in ("V2", "V3Small", "V3Large")]


@pytest.mark.parametrize("backbone", [*INTEGER_BACKBONES, *MOBILE])
def test_the_backbones_that_are_promised_have_an_integer_form(backbone):
    model = build_classifier(backbone, 3, image_size=64, weights=None)
    assert integer_obstacles(model) == []
    assert backbone_warning(backbone, 64) is None


def test_a_network_with_other_activations_is_named_before_training():
    warning = backbone_warning("applications/EfficientNetB0", 64)
    assert "activation 'silu' stays float, and" in warning
    assert "--kind=dynamic" in warning


@pytest.mark.parametrize("backbone", TRANSFORMERS)
def test_a_transformer_has_an_integer_form_with_a_word_of_caution(backbone):
    assert integer_obstacles(build_classifier(backbone, 3, image_size=32, weights=None)) == []
    assert "seven times as long as --kind=dynamic" in backbone_warning(backbone, 32, True)
    assert "without --quantize_dense only" in backbone_warning(backbone, 32)
