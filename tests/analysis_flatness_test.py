"""Local flatness of softmax regression, whose loss and Hessian NumPy computes in float64."""

import json

import keras
import numpy as np
import pytest

from qtdog_tf.analysis.flatness import FlatnessSettings, flatness
from qtdog_tf.analysis.samples import Sample
from qtdog_tf.errors import UserError
from qtdog_tf.models import build_classifier
from qtdog_tf.quantization import all_but, quantize, quantize_wrappers, start_quantization

CLASSES, INPUTS = 3, 12
PARAMETERS = (INPUTS + 1) * CLASSES
RADII = (0.0, 0.5, 2.0)


def sample(domain, images, role="source", part="in", size=2):
    rng = np.random.default_rng(sum(domain.encode()))
    pixels = rng.integers(0, 256, (images, size, size, 3), np.uint8)
    labels = rng.integers(0, CLASSES, images, np.int32)
    return Sample(domain, role, part, ("",) * images, pixels, labels)


SAMPLES = [
    sample("a", 30),
    sample("b", 70),
    sample("t", 40, "target", "all"),
    sample("a", 9, part="out"),
]
ROLES = {"source": SAMPLES[:2], "target": SAMPLES[2:3]}


def build(bits=None, mode="train"):
    keras.utils.set_random_seed(1)
    image = keras.Input((2, 2, 3))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 128, -1.0)(image))
    x = keras.layers.Dense(CLASSES, bias_initializer="random_normal", name="head")(x)
    model = keras.Model(image, x)
    if bits is not None:
        model = quantize(model, all_but(), bits=bits)
        start_quantization(model, mode)
    return model


def measure(model, on_direction=None, samples=SAMPLES, **settings):
    settings = {"radii": RADII, "direction_kinds": ("raw",), **settings}
    return flatness(model, samples, FlatnessSettings(**settings), on_direction=on_direction)


def fixed(directions):
    """Settings for a fixed number of directions."""
    return {"min_directions": directions, "max_directions": directions}


def matrix(model):
    """Kernel [12, 3] above bias [3], float64."""
    kernel, bias = (np.float64(v.numpy()) for v in model.get_layer(index=-1).weights[-2:])
    return np.concatenate([kernel, bias[np.newaxis]])


def features(pixels):
    flat = pixels.reshape(len(pixels), -1) / 128.0 - 1.0
    return np.concatenate([flat, np.ones((len(pixels), 1))], axis=1)


def loss(w, role):
    means = []
    for part in ROLES[role]:
        logits = features(part.pixels) @ w
        own = logits[np.arange(len(logits)), part.labels]
        means.append(np.mean(np.log(np.exp(logits).sum(axis=1)) - own))
    return np.mean(means)


def move(kind, index, w, seed=0):
    d = np.random.default_rng((seed, index)).standard_normal(PARAMETERS).reshape(w.shape)
    if kind == "filter":
        d[:-1] *= np.linalg.norm(w[:-1], axis=0) / np.linalg.norm(d[:-1], axis=0)
        d[-1] *= np.linalg.norm(w[-1]) / np.linalg.norm(d[-1])
    return d / np.linalg.norm(d)


def rises(w, kind, directions, seed=0, radii=RADII, lattice=lambda w: w):
    """E(w') - E(w), [roles, directions, radii]."""
    table = [
        [
            [loss(lattice(w + r * move(kind, i, w, seed)), role) - loss(w, role) for r in radii]
            for i in range(directions)
        ]
        for role in ROLES
    ]
    return np.array(table)


def check_curves(curves, table):
    assert len(curves) == len(table)
    for curve, expected in zip(curves, table, strict=True):
        n = len(expected)
        assert curve["directions"] == n
        error = expected.std(axis=0, ddof=1) / np.sqrt(n)
        np.testing.assert_allclose(curve["mean"], expected.mean(axis=0), rtol=1e-4, atol=2e-7)
        np.testing.assert_allclose(curve["standard_error"], error, rtol=1e-4, atol=2e-7)
        assert curve["mean"][0] == curve["standard_error"][0] == 0


@pytest.mark.parametrize("seed", [0, 3])
def test_curves_are_those_of_numpy(seed):
    model = build()
    w = matrix(model)
    result = measure(model, direction_kinds=("raw", "filter"), seed=seed, tolerance=0.0, **fixed(4))
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["radii"] == list(RADII)
    assert result["images"] == {"source": 100, "target": 40}
    assert result["parameters"] == PARAMETERS
    assert result["norm"] == pytest.approx(np.linalg.norm(w))
    curves = result["curves"]
    assert [(c["direction"], c["role"]) for c in curves] == [
        ("raw", "source"), ("raw", "target"), ("filter", "source"), ("filter", "target"),
    ]  # fmt: skip
    for curve in curves:
        assert curve["loss"] == pytest.approx(loss(w, curve["role"]), rel=2e-6)
        assert curve["weights"] == "dequantized"
    check_curves(curves[:2], rises(w, "raw", 4, seed))
    check_curves(curves[2:], rises(w, "filter", 4, seed))


def minimum():
    """The weights of least source loss by Newton's method, and the Hessian's trace there."""
    w = np.zeros((INPUTS + 1, CLASSES))
    parts = ROLES["source"]
    for _ in range(20):
        gradient, hessian = np.zeros(PARAMETERS), np.zeros((PARAMETERS, PARAMETERS))
        for part in parts:
            x, n = features(part.pixels), len(part.labels) * len(parts)
            p = np.exp(x @ w)
            p /= p.sum(axis=1, keepdims=True)
            gradient += (x.T @ (p - np.eye(CLASSES)[part.labels])).ravel() / n
            curvature = np.einsum("nk,kl->nkl", p, np.eye(CLASSES)) - np.einsum("nk,nl->nkl", p, p)
            hessian += np.einsum("ni,nj,nkl->ikjl", x, x, curvature).reshape(hessian.shape) / n
        w -= (np.linalg.pinv(hessian, rcond=1e-10) @ gradient).reshape(w.shape)
    assert np.abs(gradient).max() < 1e-12
    return w, np.trace(hessian)


def test_near_a_minimum_it_is_half_the_mean_curvature():
    w, trace = minimum()
    model = build()
    model.get_layer("head").set_weights([w[:-1], w[-1]])
    radii = (0.05, 0.1)
    result = measure(model, radii=radii, tolerance=0.0, **fixed(100))
    source = result["curves"][0]
    expected = np.square(radii) * trace / (2 * PARAMETERS)
    error = np.array(source["standard_error"])
    # Tight enough to tell a wrong factor, wide enough for Monte Carlo.
    assert np.all(error < 0.06 * expected)
    np.testing.assert_array_less(np.abs(source["mean"] - expected), 3.5 * error)


def numpy_lattice(model):
    """Rounds the kernel as LSQ does, in float64."""
    [wrapper] = quantize_wrappers(model)
    [(_, quantizer, variables)] = wrapper.quantized_weights
    step_size = np.float64(variables["step_size"].numpy())
    low, high = quantizer.code_range.q_min, quantizer.code_range.q_max

    def rounded(w):
        kernel = step_size * np.round(np.clip(w[:-1] / step_size, low, high))
        return np.concatenate([kernel, w[-1:]])

    return rounded


@pytest.mark.parametrize("mode", ["train", "frozen"])
def test_a_quantized_model_moves_from_its_lattice(mode):
    model = build(bits=4, mode=mode)
    [wrapper] = quantize_wrappers(model)
    step_size = wrapper.quantized_weights[0][2]["step_size"]
    step_sizes, lattice = step_size.numpy(), numpy_lattice(model)
    kernel, bias = wrapper.layer.kernel, wrapper.layer.bias
    w = lattice(np.concatenate([kernel.numpy(), bias.numpy()[np.newaxis]]).astype(np.float64))
    kinds = ("dequantized", "rerounded")
    result = measure(model, weight_kinds=kinds, tolerance=0.0, **fixed(3))
    curves = result["curves"]
    assert [c["weights"] for c in curves] == ["dequantized"] * 2 + ["rerounded"] * 2
    assert result["norm"] == pytest.approx(np.linalg.norm(w))
    assert result["parameters"] == PARAMETERS
    assert [c["loss"] for c in curves[:2]] == [c["loss"] for c in curves[2:]]
    check_curves(curves[:2], rises(w, "raw", 3))
    check_curves(curves[2:], rises(w, "raw", 3, lattice=lattice))
    np.testing.assert_array_equal(step_size, step_sizes)
    np.testing.assert_allclose(kernel, w[:-1], rtol=1e-6)


def test_moves_below_half_a_step_size_are_rounded_away():
    model = build(bits=4)
    [wrapper] = quantize_wrappers(model)
    wrapper.layer.bias.trainable = False
    radius = 0.49 * float(wrapper.quantized_weights[0][2]["step_size"].numpy().min())
    kinds = ("rerounded", "dequantized")
    result = measure(model, weight_kinds=kinds, radii=(radius,), **fixed(5))
    for curve in result["curves"]:
        if curve["weights"] == "rerounded":
            assert curve["mean"] == curve["standard_error"] == [0.0]
            assert curve["converged"]
        else:
            assert abs(curve["mean"][0]) > 1e-5
    assert [c["weights"] for c in result["curves"]] == ["rerounded"] * 2 + ["dequantized"] * 2


def test_a_float_model_has_no_lattice():
    kinds = ("rerounded", "dequantized")
    result = measure(build(bits=4, mode="off"), weight_kinds=kinds, **fixed(2))
    assert [c["weights"] for c in result["curves"]] == ["dequantized"] * 2
    with pytest.raises(UserError, match="a float model has no lattice"):
        measure(build(), weight_kinds=("rerounded",))


def test_weights_are_put_back_bit_for_bit():
    def stop(number):
        if number == 3:
            raise KeyboardInterrupt

    model = build()
    before = [value.tobytes() for value in model.get_weights()]
    measure(model, **fixed(2))
    assert [value.tobytes() for value in model.get_weights()] == before
    with pytest.raises(KeyboardInterrupt):
        measure(model, on_direction=stop, **fixed(5))
    assert [value.tobytes() for value in model.get_weights()] == before
    with pytest.raises(UserError, match=r"loss at radius 3e\+38 is not finite"):
        measure(model, radii=(3e38,))
    assert [value.tobytes() for value in model.get_weights()] == before


@pytest.mark.parametrize("tolerance", [0.3, 0.2])
def test_it_stops_when_every_role_is_within_the_tolerance(tolerance):
    model = build()
    last = rises(matrix(model), "raw", 40)[:, :, -1]
    within = np.array(
        [
            [
                means[:n].std(ddof=1) / np.sqrt(n) <= tolerance * abs(means[:n].mean())
                for n in range(2, 41)
            ]
            for means in last
        ]
    )
    number = 2 + int(np.argmax(within.all(axis=0)))
    assert within.all(axis=0).any()
    # The case is worth something: one role alone would have stopped before.
    assert number > 2 + np.argmax(within, axis=1).min() and number > 2
    settings = {"tolerance": tolerance, "max_directions": 40}
    curves = measure(model, min_directions=2, **settings)["curves"]
    assert [c["directions"] for c in curves] == [number] * 2
    assert [c["converged"] for c in curves] == [True] * 2

    curves = measure(model, tolerance=tolerance, **fixed(number - 1))["curves"]
    assert [c["converged"] for c in curves] == within[:, number - 3].tolist()
    curves = measure(model, min_directions=number + 2, **settings)["curves"]
    assert curves[0]["directions"] >= number + 2


def test_progress_counts_all_directions():
    numbers = []
    kinds = {"direction_kinds": ("filter", "raw"), "weight_kinds": ("dequantized", "rerounded")}
    measure(build(bits=3), numbers.append, radii=(0.1,), **kinds, **fixed(2))
    assert numbers == list(range(1, 9))


def test_all_kinds_of_layers():
    model = build_classifier("tiny", CLASSES, image_size=16, weights=None)
    learned = [variable.numpy() for variable in model.trainable_variables]
    quantized = quantize(model)
    start_quantization(quantized)
    statistics = [v.numpy() for v in quantized.non_trainable_variables]
    samples = [sample("a", 6, size=16)]
    kinds = {"direction_kinds": ("raw", "filter"), "weight_kinds": ("rerounded", "dequantized")}
    result = measure(quantized, samples=samples, radii=(0, 1), **kinds, **fixed(2))
    assert result["images"] == {"source": 6, "target": 0}
    assert [c["role"] for c in result["curves"]] == ["source"] * 4
    assert result["parameters"] == sum(value.size for value in learned)
    length = np.sqrt(sum(np.sum(np.square(value, dtype=np.float64)) for value in learned))
    assert result["norm"] == pytest.approx(length, rel=1e-2)
    for ours, theirs in zip(quantized.non_trainable_variables, statistics, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"radii": ()}, "radii must be one or more numbers, rising from 0"),
        ({"radii": (0, 5, 5)}, "received 0, 5, 5"),
        ({"radii": (-1, 5)}, "received -1, 5"),
        ({"radii": (0, float("inf"))}, "received 0, inf"),
        ({"radii": ("0", "many")}, "received 0, many"),
        ({"max_directions": 4}, r"min_directions \(5\) must be at most max_directions \(4\)"),
        ({"min_directions": 1}, "min_directions must be at least 2; received 1"),
        ({"tolerance": -0.1}, "tolerance must be at least 0.0; received -0.1"),
        ({"direction_kinds": ("layer",)}, "direction_kinds must be .* raw, filter; received"),
        ({"direction_kinds": ()}, "direction_kinds must be"),
        ({"weight_kinds": ("rerounded",) * 2}, "weight_kinds must be .* dequantized, rerounded"),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        FlatnessSettings(**settings)


def test_settings_by_default_are_the_papers():
    assert FlatnessSettings().radii == tuple(5.0 * i for i in range(13))
    assert FlatnessSettings(radii=("0", "2.5")).radii == (0.0, 2.5)  # flags are words
