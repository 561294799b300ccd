r"""Measures what training costs: steps with and without quantization, input pipeline, import.

  python -m tools.benchmark                              EfficientNet-Lite0, 48 images of 64 pixels
  python -m tools.benchmark --backbone=resnet50 --weights=none --image_size=224 --images=24
  python -m tools.benchmark --measure=steps --variants=quantized,sam,sagm,saqat
  python -m tools.benchmark --measure=input,import

Step times of all variants are taken in turn, round by round, in one process, so that a machine
whose speed drifts slows them all; the ratio is the median over rounds of each round's ratio.
"""

import dataclasses
import statistics
import subprocess
import sys
import time

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from qtdog_tf.algorithms import AlgorithmSettings
from qtdog_tf.data import open_domains, split_domains, training_batches
from qtdog_tf.errors import UserError
from qtdog_tf.files import write_json
from qtdog_tf.models import FastDepthwiseConv2D, build_classifier
from qtdog_tf.quantization import start_quantization
from qtdog_tf.runs import versions
from qtdog_tf.tables import format_table
from qtdog_tf.training.adam import Adam
from qtdog_tf.training.model import build_training_model
from qtdog_tf.training.settings import TrainSettings
from tools._main import refuse_arguments, run_tool

MEASURES = ("steps", "input", "import")
# Algorithms of two passes a step, quantized.
TWO_PASSES = ("sam", "sagm", "saqat")
VARIANTS = ("stock", "float", "disabled", "quantized", "frozen", "bfloat16", *TWO_PASSES)
CLASSES = 11

FLAGS = flags.FLAGS
flags.DEFINE_list("measure", "steps,input,import", f"What to measure, of {', '.join(MEASURES)}.")
flags.DEFINE_list(
    "variants",
    "float,disabled,quantized",
    "Steps to time. stock: Keras' own depthwise convolution and Adam, what this package began "
    "with; float: its own, without wrappers; disabled: wrapped, quantization off, with a "
    "moving average; quantized: 7 bits; frozen: 7 bits, convolutions frozen; bfloat16: quantized, "
    "mixed precision; sam, sagm, saqat: quantized, by that algorithm.",
)
flags.DEFINE_string("backbone", "efficientnet_lite0", "See python -m tools.train --help.")
flags.DEFINE_string("weights", "imagenet", "Initial weights; none for random ones.")
flags.DEFINE_integer("image_size", 64, "Height and width, pixels.", 8)
flags.DEFINE_integer("images", 48, "Images in a batch.", 1)
flags.DEFINE_integer("rounds", 7, "Rounds; each times every variant once.", 1)
flags.DEFINE_integer("steps_per_round", 8, "Steps timed together.", 1)
flags.DEFINE_string("json", "", "Write the figures to this file too.")


@dataclasses.dataclass(frozen=True)
class Timing:
    """Step times of one variant.

    Attributes:
        first: seconds of the first call, tracing included.
        steps: seconds a step, one value a round.
    """

    first: float
    steps: list[float]


def main(argv: list[str]) -> None:
    """Measures, prints tables, writes the figures."""
    refuse_arguments(argv)
    for chosen, known in ((FLAGS.measure, MEASURES), (FLAGS.variants, VARIANTS)):
        for name in chosen:
            if name not in known:
                raise UserError(f"cannot measure {name!r}: choose from {', '.join(known)}")
    figures: dict = {"flags": flag_values(), "versions": versions()}
    if "steps" in FLAGS.measure:
        figures["steps"] = report_steps()
    if "input" in FLAGS.measure:
        figures["input_images_per_second"] = report_input()
    if "import" in FLAGS.measure:
        figures["import_seconds"] = report_import()
    if FLAGS.json:
        write_json(FLAGS.json, figures)


def flag_values() -> dict:
    """The values of this program's own flags."""
    return {flag.name: flag.value for flag in FLAGS.get_key_flags_for_module(sys.argv[0])}


def report_steps() -> dict:
    """Times training steps of every variant; prints and returns the figures."""
    timings = time_steps({name: build(name) for name in FLAGS.variants})
    first = next(iter(timings))
    rows, figures = [], {}
    for name, timing in timings.items():
        pairs = zip(timing.steps, timings[first].steps, strict=True)
        ratios = [mine / reference for mine, reference in pairs]
        figures[name] = {**dataclasses.asdict(timing), "median_ratio": statistics.median(ratios)}
        rows.append(
            [
                name,
                f"{statistics.median(timing.steps):.4f}",
                f"{min(timing.steps):.4f}-{max(timing.steps):.4f}",
                f"{statistics.median(ratios):.3f}",
                f"{min(ratios):.3f}-{max(ratios):.3f}",
                f"{timing.first:.1f}",
            ]
        )
    header = ["variant", "s/step", "range", f"ratio to {first}", "range", "first call s"]
    print(f"{FLAGS.backbone}, {FLAGS.images} images of {FLAGS.image_size} pixels")
    print(format_table(header, rows) + "\n")
    return figures


def build(name: str) -> keras.Model:
    """A compiled model of one variant."""
    settings = TrainSettings(
        backbone=FLAGS.backbone,
        weights=FLAGS.weights,
        image_size=FLAGS.image_size,
        learning_rate=1e-6,  # so small that hundreds of steps on one batch change nothing
        mixed_precision="bfloat16" if name == "bfloat16" else "none",
    )
    if name in ("stock", "float"):
        model = build_classifier(
            settings.backbone,
            CLASSES,
            image_size=settings.image_size,
            weights=None if settings.weights == "none" else settings.weights,
        )
        if name == "stock":
            model = keras.models.clone_model(model, clone_function=stock_layer)
        optimizer = keras.optimizers.Adam(1e-6) if name == "stock" else Adam(1e-6)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
        return model
    algorithm = AlgorithmSettings(algorithm=name if name in TWO_PASSES else "erm")
    model = build_training_model(settings, CLASSES, bits=7, seed=0, algorithm=algorithm)
    if name != "disabled":
        start_quantization(model, "frozen" if name == "frozen" else "train")
    return model


def stock_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    """A copy of a layer, with Keras' depthwise convolution in place of this package's."""
    if isinstance(layer, FastDepthwiseConv2D):
        return keras.layers.DepthwiseConv2D.from_config(layer.get_config())
    return layer.__class__.from_config(layer.get_config())


def time_steps(models: dict[str, keras.Model]) -> dict[str, Timing]:
    """Runs every model in turn, round by round."""
    random = np.random.default_rng(0)
    images = random.integers(
        0, 256, (FLAGS.images, FLAGS.image_size, FLAGS.image_size, 3), np.uint8
    )
    labels = random.integers(0, CLASSES, FLAGS.images)
    batches = tf.data.Dataset.from_tensors((images, labels)).repeat(FLAGS.steps_per_round)
    timings = {}
    for name, model in models.items():
        timings[name] = Timing(timed_fit(model, batches.take(1)), [])
        timed_fit(model, batches)  # the allocator settles
    for _ in range(FLAGS.rounds):
        for name, model in models.items():
            timings[name].steps.append(timed_fit(model, batches) / FLAGS.steps_per_round)
    return timings


def timed_fit(model: keras.Model, batches: tf.data.Dataset) -> float:
    """Seconds of one `fit` over `batches`."""
    began = time.perf_counter()
    model.fit(batches, verbose=0, shuffle=False)
    return time.perf_counter() - began


def report_input(steps: int = 40) -> float:
    """Images a second that the input pipeline yields on emoji_styles, with nothing else to do."""
    domain_set = open_domains("emoji_styles")
    sources = domain_set.names[:3]
    batches = training_batches(
        domain_set,
        split_domains(domain_set, 0),
        sources,
        image_size=FLAGS.image_size,
        images_per_domain=16,
        seed=0,
        start_step=0,
        stop_step=steps + 1,
    )
    iterator = iter(batches)
    next(iterator)
    began = time.perf_counter()
    count = sum(len(labels) for _, labels in iterator)
    rate = count / (time.perf_counter() - began)
    print(f"input pipeline, emoji_styles at {FLAGS.image_size} pixels: {rate:,.0f} images/s\n")
    return rate


def report_import(rounds: int = 3) -> dict[str, float]:
    """Seconds to import this package in a fresh process, beside TensorFlow and Keras alone."""
    programs = {"keras and tensorflow": "import keras, tensorflow", "qtdog_tf": "import qtdog_tf"}
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
            times[name].append(time.perf_counter() - began)
    figures = {name: statistics.median(values) for name, values in times.items()}
    rows = [[name, f"{seconds:.2f}"] for name, seconds in figures.items()]
    print(format_table(["import of", "seconds"], rows))
    return figures


if __name__ == "__main__":
    run_tool(main)
