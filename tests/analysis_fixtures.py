"""Runs, analyses and pictures as the programs write them, made up: no model is trained.

The figures follow the shape of the paper's: losses rise with the square of the radius, rounding
noise is uniform, models are too sure on the target. Start from `write_study`.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from qtdog_tf.records import Evaluation, Score
from qtdog_tf.runs import ResultsLog
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.summary import summarize

DOMAINS = ("flat", "gradient", "line")
CLASSES = ("face", "hand", "vehicle")
START, STEPS, EVERY = 40, 120, 10
# By method: output folder, variant, weights that are analysed, rise of the loss, accuracy gained.
METHODS: dict[str, tuple[str, str, str, float, float]] = {
    "ERM": ("erm", "erm", "selected_sma", 1.8, 0.0),
    "SAM": ("sam", "erm", "selected_sma", 1.4, 0.01),
    "SWA": ("erm", "erm", "last_swa", 1.1, 0.015),
    "QT-DoG 7 bits": ("erm", "qtdog7", "selected_sma", 0.9, 0.01),
    "SWAD": ("erm", "erm", "last_swad", 0.7, 0.02),
}
VARIANTS = {
    "erm": {"name": "erm", "mode": "off", "bits": 32},
    "qtdog7": {"name": "qtdog7", "mode": "train", "bits": 7},
}
Values = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Study:
    """Folders of a made-up study."""

    outputs: tuple[Path, ...]
    analyses: Path
    photos: Path


def write_study(
    root: Path, targets: Sequence[str] = ("line",), trials: Sequence[int] = (0, 1), layers: int = 6
) -> Study:
    """Writes output folders of ERM and SAM, and an analysis of every method and run."""
    photos = write_photos(root / "photos")
    for algorithm, variants in (("erm", ("erm", "qtdog7")), ("sam", ("erm",))):
        write_output(root / algorithm, algorithm, variants, targets, trials, photos)
    analyses = root / "analyses"
    for number, (method, (output, variant, model, rise, _)) in enumerate(METHODS.items()):
        for target in targets:
            for trial in trials:
                rng = np.random.default_rng((number, sum(target.encode()), trial))
                label = f"{output}/{target}-trial{trial}/{variant}"
                bits = VARIANTS[variant]["bits"]
                results = analysis_results(rng, bits, rise, target, photos, layers)
                for name, result in results.items():
                    entry = analysis_entry(name, method, root, label, model, result)
                    write(analyses / label / model / f"{name}.json", entry)
    plane = {
        "analysis": "plane",
        "command": "python -m tools.analyze ...",
        "result": plane_result(),
    }
    write(analyses / "plane.json", plane)
    return Study((root / "erm", root / "sam"), analyses, photos)


def write(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def write_photos(root: Path, per_class: int = 4) -> Path:
    rng = np.random.default_rng(0)
    for domain in DOMAINS:
        for name in CLASSES:
            for i in range(per_class):
                path = root / domain / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                small = rng.integers(40, 255, (4, 4, 3)).astype(np.uint8)
                Image.fromarray(small).resize((32, 32), Image.Resampling.BICUBIC).save(path)
    return root


def write_output(
    output: Path,
    algorithm: str,
    variants: Sequence[str],
    targets: Sequence[str],
    trials: Sequence[int],
    photos: Path,
) -> None:
    """An output folder of tools.train."""
    settings = TrainSettings(
        data=str(photos), steps=STEPS, quantize_step=START, eval_every=EVERY, backbone="tiny"
    )
    versions = {"git": "0123456789ab", "keras": "3.15.1", "python": "3.11.7"}
    identity = {**dataclasses.asdict(settings), "algorithm": algorithm, "sam_rho": 0.05}
    write(output / "settings.json", {"identity": identity, "versions": versions})
    for target in targets:
        for trial in trials:
            write_trial(output, algorithm, variants, target, trial, str(photos))


def write_trial(
    output: Path, algorithm: str, variants: Sequence[str], target: str, trial: int, data: str
) -> None:
    sources = [domain for domain in DOMAINS if domain != target]
    folder = output / f"{target}-trial{trial}"
    images = {domain: {"in": 40, "out": 10} for domain in DOMAINS}
    shared = {"sources": sources, "targets": [target], "trial_seed": trial, "classes": CLASSES}
    shared |= {"images": images, "listing": "0123", "split": f"{trial}567"}
    write(folder / "data.json", {"identity": shared})
    for variant in variants:
        key = (trial, sum(f"{target}{variant}{algorithm}".encode()))
        evaluations = make_evaluations(np.random.default_rng(key), sources, target, variant)
        identity = {
            "variant": VARIANTS[variant],
            "backbone": "tiny",
            "image_size": 16,
            "data": data,
            "holdout": 0.2,
            "split_by": "",
            **shared,
        }
        write(folder / variant / "run.json", identity)
        ResultsLog(folder / variant / "results.jsonl").rewrite(evaluations)
        start = START if variant != "erm" else 0
        sizes = {"bytes": 3_400_000 if variant != "erm" else 13_700_000, "float_bytes": 13_700_000}
        summary = {**identity, **sizes, **summarize(evaluations, start)}
        write(folder / variant / "summary.json", summary)


def make_evaluations(
    rng: np.random.Generator, sources: Sequence[str], target: str, variant: str
) -> list[Evaluation]:
    evaluations = []
    for step in [*range(0, STEPS, EVERY), STEPS - 1]:
        for weights, gain in (("raw", 0.0), ("sma", 0.03), ("swa", 0.035), ("swad", 0.04)):
            if weights in ("swa", "swad") and step < START:
                continue
            level = 0.9 - 0.7 * np.exp(-step / 30) + gain * (step > EVERY)

            def score(mean: float, images: int, noise: float) -> Score:
                accuracy = float(np.clip(mean + noise * rng.normal(), 0, 1))
                return Score(accuracy, -float(np.log(max(accuracy, 0.02))), images)

            noise = 0.02 if variant == "erm" else 0.012
            evaluations.append(
                Evaluation(
                    step,
                    weights,
                    variant != "erm" and step >= START,
                    {name: {"out": score(level, 10, noise)} for name in sources},
                    {
                        target: {
                            "in": score(level - 0.18, 40, 2 * noise),
                            "out": score(level - 0.25, 10, 2 * noise),
                        }
                    },
                )
            )
    return evaluations


def analysis_entry(
    name: str, method: str, root: Path, label: str, model: str, result: Values
) -> Values:
    output, trial, variant = label.split("/")
    target, _, seed = trial.partition("-trial")
    return {
        "analysis": name,
        "label": label,
        "run": str(root / label),
        "method": method,
        "variant": variant,
        "algorithm": output,
        "bits": VARIANTS[variant]["bits"],
        "targets": [target],
        "trial_seed": int(seed),
        "model": model,
        "settings": {"seed": 0},
        "command": f"python -m tools.analyze --runs={root / label} --analyses={name}",
        "seconds": 1.5,
        "versions": {"git": "0123456789ab"},
        "result": result,
    }


def analysis_results(
    rng: np.random.Generator, bits: int, rise: float, target: str, photos: Path, layers: int
) -> dict[str, Values]:
    """The result of every analysis of one run."""
    quantized = bits < 32
    return {
        "flatness": flatness_result(rng, rise, quantized),
        "hessian": hessian_result(rng, rise),
        "noise": noise_result(rng, bits, layers if quantized else 0),
        "noise_effect": noise_effect_result(rng) if quantized else {"roles": {}},
        "stability": stability_result(rng),
        "code_use": code_use_result(rng, bits, layers),
        "calibration": calibration_result(rng, target),
        "grad_cam": grad_cam_result(rng, target, photos),
    }


def flatness_result(rng: np.random.Generator, rise: float, quantized: bool) -> Values:
    radii = [float(radius) for radius in range(0, 61, 5)]
    curves = []
    for weights in ("dequantized", "rerounded")[: 1 + quantized]:
        for direction, part in (("raw", 1.0), ("filter", 0.4)):
            for role, factor in (("source", 0.05), ("target", 0.15)):
                size = factor * part * rise * (1 + 0.15 * rng.normal())
                mean = [size * (radius / 40) ** 2.6 for radius in radii]
                curves.append(
                    {
                        "role": role,
                        "direction": direction,
                        "weights": weights,
                        "loss": 0.1 + factor,
                        "mean": mean,
                        "standard_error": [0.05 * value for value in mean],
                        "directions": 30,
                        "converged": True,
                    }
                )
    return {
        "radii": radii,
        "images": {"source": 80, "target": 50},
        "norm": 90 + rng.normal(),
        "parameters": 3_360_000,
        "curves": curves,
    }


def hessian_result(rng: np.random.Generator, rise: float) -> Values:
    return {
        "images": 80,
        "loss": 0.12,
        "top": {"value": 40 * rise + rng.normal(), "residual": 0.01, "iterations": 20}
        | {"converged": True},
        "trace": {"mean": 900 * rise + 20 * rng.normal(), "standard_error": 30.0, "probes": 50},
    }


def noise_result(rng: np.random.Generator, bits: int, layers: int) -> Values:
    found = []
    for i in range(layers):
        step = 0.01 / (i + 1)
        differences = rng.uniform(-step / 2, step / 2, 20_000)
        density, edges = np.histogram(differences, 50, density=True)
        middle = np.median(differences)
        lower = np.sort(middle - differences[differences < middle])[::100]
        upper = np.sort(differences[differences > middle] - middle)[::100]
        share = density * np.diff(edges)
        kl = float(np.sum(share * np.log(np.maximum(share, 1e-12) * 50)))
        found.append(
            {
                "name": f"block{i}_expand_conv",
                "weights": 20_000,
                "bits": bits,
                "kl": kl,
                "kl_in_steps": 0.9 * kl,
                "kl_inside": 0.8 * kl,
                "rms_ratio": float(np.sqrt(np.mean(differences**2) * 12) / step),
                "bias": float(differences.mean() / step),
                "clipped": 0.001 * i,
                "histogram": {"edges": edges.tolist(), "density": density.tolist()},
                "symmetry": {"lower": lower.tolist(), "upper": upper[: len(lower)].tolist()},
            }
        )
    return {"bins": 50, "layers": found} | ({"kl_uniform_sample": 0.0012} if layers else {})


def noise_effect_result(rng: np.random.Generator) -> Values:
    roles = {}
    for role, size in (("source", 0.004), ("target", 0.011)):
        latent = 0.2 + 20 * size
        measured = size * (1 + 0.2 * rng.normal())
        roles[role] = {
            "latent": latent,
            "quantized": latent + measured,
            "measured": measured,
            "first_order": 0.6 * measured,
            "second_order": 0.4 * measured,
            "predicted": size,
            "standard_error": 0.1 * size,
            "uniform": 1.1 * size,
            "uniform_standard_error": 0.1 * size,
            "probes": 20,
        }
    return {"roles": roles}


def stability_result(rng: np.random.Generator) -> Values:
    steps = list(range(0, STEPS, EVERY))

    def curve() -> Values:
        target = (0.7 + 0.03 * rng.normal(size=len(steps))).tolist()
        return {
            "steps": steps,
            "source": (0.9 + 0.01 * rng.normal(size=len(steps))).tolist(),
            "target_in": target,
            "target_out": target,
            "std_after_start": float(np.std(target[4:])),
            "best_minus_selected": 0.02,
            "selected_step": 80,
        }

    return {"weights": {"raw": curve(), "sma": curve()}, "start": START}


def code_use_result(rng: np.random.Generator, bits: int, layers: int) -> Values:
    quantized = bits < 32
    available = 2**bits if quantized else 0
    density = np.exp(-0.5 * np.linspace(-3, 3, available) ** 2) if quantized else np.empty(0)
    entries = [
        {
            "name": f"block{i}_expand_conv",
            "weights": 20_000,
            "norm": 4.0 + rng.normal(),
            "bits": bits if quantized else None,
            "codes_used": available - i if quantized else None,
            "codes_available": available if quantized else None,
            "entropy": bits - 1.5 - 0.1 * i if quantized else None,
            "density": (density / density.sum()).tolist() if quantized else [],
        }
        for i in range(layers)
    ]
    return {"norm": 90.0, "layers": entries}


def calibration_result(rng: np.random.Generator, target: str) -> Values:
    domains = []
    for domain in DOMAINS:
        role = "target" if domain == target else "source"
        parts = ("all",) if role == "target" else ("in", "out")
        domains += [calibration_domain(rng, domain, role, part) for part in parts]
    worst = {"domain": target, "class": "hand", "accuracy": 0.31, "images": 16}
    source = {"domain": domains[0]["domain"], "class": "face", "accuracy": 0.8, "images": 5}
    return {"bins": 15, "domains": domains, "worst": worst, "worst_source": source}


def calibration_domain(rng: np.random.Generator, domain: str, role: str, part: str) -> Values:
    edges = np.linspace(0, 1, 16)
    counts = [0] * 4 + [int(n) for n in rng.integers(2, 10, 10)] + [40]
    too_sure = 0.15 if role == "target" else 0.02
    bins = []
    for low, high, images in zip(edges, edges[1:], counts, strict=False):
        middle = float(low + high) / 2
        accuracy = max(middle - too_sure, 0.0) if images else None
        bins.append({"low": float(low), "high": float(high), "images": images})
        bins[-1] |= {"accuracy": accuracy, "confidence": middle if images else None}
    level = 0.72 if role == "target" else 0.93
    accuracy = level + 0.02 * float(rng.normal())
    return {
        "domain": domain,
        "role": role,
        "part": part,
        "images": sum(counts),
        "accuracy": accuracy,
        "loss": 0.8,
        "ece": too_sure + 0.01 * float(rng.normal()),
        "confidence": accuracy + too_sure,
        "reliability": bins,
        "selective": [
            {"coverage": t / 10, "accuracy": 1 - (1 - accuracy) * t / 10} for t in range(10, 0, -1)
        ],
    }


def grad_cam_result(rng: np.random.Generator, target: str, photos: Path) -> Values:
    images = []
    for truth in CLASSES:
        for i in range(2):
            images.append(
                {
                    "path": str(photos / target / truth / f"{i}.png"),
                    "domain": target,
                    "truth": truth,
                    "predicted": str(rng.choice(CLASSES)),
                    "confidence": float(rng.uniform(0.4, 1)),
                    "heat": np.round(rng.uniform(size=(4, 4)), 3).tolist(),
                }
            )
    return {"layer": "conv4", "map": [4, 4], "score": "predicted", "images": images}


def plane_result() -> Values:
    axis = np.linspace(-12.0, 32.0, 21)
    x, y = np.meshgrid(axis, axis)

    def loss(scale: float) -> list[list[float]]:
        return (0.05 + scale * (((x - 9) / 20) ** 2 + ((y - 8) / 14) ** 4)).tolist()

    return {
        "points": [
            {"label": "ERM", "x": 0.0, "y": 0.0},
            {"label": "SWAD", "x": 20.0, "y": 0.0},
            {"label": "QT-DoG 7 bits", "x": 8.0, "y": 18.0},
        ],
        "x": axis.tolist(),
        "y": axis.tolist(),
        "grids": [{"role": r, "loss": loss(s)} for r, s in (("source", 0.6), ("target", 1.5))],
        "images": 130,
    }


def edit(path: Path, change: Callable[[Values], None]) -> None:
    """Changes a JSON file in place."""
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
