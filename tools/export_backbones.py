r"""Exports every network of this project with random weights at 7 bits, and says what its file is.

  All of them, int8 and dynamic, some ten minutes; the reports are kept as JSON:
    python -m tools.export_backbones --output=/tmp/networks --report=runs/export_backbones.json

  What was found, as a table:
    python -m tools.export_backbones --report=tools/results/export_backbones.json

No pretrained weights of most of them are at hand, so this is no word on accuracy: random networks
name classes by chance. BatchNorm has the statistics of the images that a network is exported with.
It shows that codes, scales, biases and layers of a whole network come through. Milliseconds are of
one image and one thread, where this runs.
"""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import flags
from tqdm import tqdm

from qtdog_tf.data import open_domains
from qtdog_tf.evaluation.pixels import read_pixels
from qtdog_tf.export import ExportSettings, export_tflite
from qtdog_tf.files import read_json, write_json
from qtdog_tf.models import build_classifier
from qtdog_tf.quantization import quantize, start_quantization
from qtdog_tf.quantization.annotate import all_but
from qtdog_tf.tables import format_table
from qtdog_tf.training.batch_statistics import measure_statistics
from tools._main import refuse_arguments, run_tool

FLAGS = flags.FLAGS
flags.DEFINE_string("output", "", "Folder for the files; without it the report is only printed.")
flags.DEFINE_string("report", "runs/export_backbones.json", "The figures, as JSON.")

# By name: pixels of the images. DeiT's patches and positions are made for 224.
NETWORKS = {
    "efficientnet_lite0": 64,
    "resnet18": 64,
    "resnet50": 64,
    "resnext50_32x4d": 64,
    "applications/MobileNetV2": 64,
    "applications/MobileNetV3Small": 64,
    "applications/MobileNetV3Large": 64,
    "deit_small": 224,
}
KINDS = ("int8", "dynamic")
_BITS, _IMAGES, _SEED = 7, 16, 0


def main(argv: list[str]) -> None:
    """Exports what is not in the report yet, and prints it."""
    refuse_arguments(argv)
    # Each network has functions of its own, which TensorFlow takes for one that is traced anew.
    tf.get_logger().setLevel("ERROR")
    report = Path(FLAGS.report)
    found: list[dict[str, Any]] = read_json(report) if report.exists() else []
    if FLAGS.output:
        done = {(entry["network"], entry["kind"]) for entry in found}
        missing = [(n, k) for n in NETWORKS for k in KINDS if (n, k) not in done]
        for network, kind in tqdm(missing, unit="file", disable=None):
            found.append(export_network(network, kind, Path(FLAGS.output)))
            write_json(report, found)
    print(report_table(found))


def export_network(network: str, kind: str, folder: Path) -> dict[str, Any]:
    """Exports one network with random weights; returns what was found."""
    size = NETWORKS[network]
    keras.utils.set_random_seed(_SEED)
    data = open_domains("emoji_styles")
    classes = data.classes
    domain = data.domain(data.names[0])
    chosen = np.random.default_rng(_SEED).permutation(len(domain))[:_IMAGES]
    pixels = read_pixels(domain.paths_at(chosen), size)
    network_itself = build_classifier(
        network,
        len(classes),
        image_size=size,
        weights=None,
        seed=_SEED,
        freeze_batch_norm=False,
    )
    # Without that, signals fade from layer to layer, and codes can tell nothing apart.
    measure_statistics(network_itself, [pixels.astype(np.float32)])
    model = quantize(network_itself, all_but("head"), bits=_BITS)
    start_quantization(model)
    path = folder / f"{network.replace('/', '_')}_{kind}.tflite"
    folder.mkdir(parents=True, exist_ok=True)
    export = export_tflite(
        model, path, pixels, domain.labels[chosen], classes, kind=kind, min_agreement=0.0
    )
    return {
        "network": network,
        "image_size": size,
        "kind": kind,
        "passed": export.passed,
        "checks": [dataclasses.asdict(check) for check in export.checks],
        "mean_difference": export.agreements[0].mean_difference,
        "bytes": export.sizes.bytes,
        # By number of threads, as it comes back from JSON.
        "latency_ms": {str(n): ms for n, ms in (export.latency or {}).items()},
        "settings": dataclasses.asdict(ExportSettings(kind=kind, min_agreement=0.0)),
    }


def report_table(found: list[dict[str, Any]]) -> str:
    """One row a file."""
    rows = []
    for entry in found:
        codes = next((c["detail"] for c in entry["checks"] if c["name"] == "codes"), "-")
        time = entry["latency_ms"] or {}
        rows.append(
            [
                entry["network"],
                str(entry["image_size"]),
                entry["kind"],
                "passed" if entry["passed"] else "FAILED",
                codes,
                f"{entry['bytes'] / 1e6:.1f}",
                f"{time['1']:.2f}" if "1" in time else "-",
            ]
        )
    return format_table(["network", "pixels", "kind", "checks", "codes", "MB", "ms"], rows)


if __name__ == "__main__":
    run_tool(main, resumes=True)
