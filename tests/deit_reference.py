"""A vision transformer's forward pass in float64 NumPy, from tensors under timm's names."""

import math
from collections.abc import Mapping

import numpy as np

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
PATCH, EPSILON = 16, 1e-6

Tensors = Mapping[str, np.ndarray]


def features(tensors: Tensors, pixels: np.ndarray, heads: int) -> np.ndarray:
    """Features [width] of one image, pixels 0..255 [S, S, 3]; positions must fit the image."""
    t = {name: np.asarray(value, np.float64) for name, value in tensors.items()}
    image = (pixels / 255.0 - MEAN) / DEVIATION
    weight = t["patch_embed.proj.weight"]
    tokens = [t["cls_token"][0, 0]]
    for y in range(0, len(image), PATCH):
        for x in range(0, len(image), PATCH):
            patch = image[y : y + PATCH, x : x + PATCH].transpose(2, 0, 1)
            tokens.append((weight * patch).sum(axis=(1, 2, 3)) + t["patch_embed.proj.bias"])
    x = np.stack(tokens) + t["pos_embed"][0]
    blocks = 1 + max(int(name.split(".")[1]) for name in t if name.startswith("blocks."))
    for number in range(blocks):
        x = _block(t, f"blocks.{number}", x, heads)
    return _norm(t, "norm", x)[0]


def _linear(t: Tensors, name: str, x: np.ndarray) -> np.ndarray:
    return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]


def _norm(t: Tensors, name: str, x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + EPSILON) * t[f"{name}.weight"] + t[f"{name}.bias"]


def _block(t: Tensors, name: str, x: np.ndarray, heads: int) -> np.ndarray:
    qkv = _linear(t, f"{name}.attn.qkv", _norm(t, f"{name}.norm1", x))
    queries, keys, values = (np.split(part, heads, axis=1) for part in np.split(qkv, 3, axis=1))
    mixed = []
    for q, k, v in zip(queries, keys, values, strict=True):
        powers = np.exp(q @ k.T / np.sqrt(q.shape[1]))
        mixed.append(powers / powers.sum(axis=1, keepdims=True) @ v)
    x = x + _linear(t, f"{name}.attn.proj", np.concatenate(mixed, axis=1))
    hidden = _linear(t, f"{name}.mlp.fc1", _norm(t, f"{name}.norm2", x))
    hidden = 0.5 * hidden * (1 + np.vectorize(math.erf)(hidden / np.sqrt(2)))
    return x + _linear(t, f"{name}.mlp.fc2", hidden)
