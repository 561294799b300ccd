"""What the file of each analysis holds, as a shape, see `shapes`."""

from typing import Any

from qtdog_tf.report.shapes import (
    ANYTHING,
    COUNT,
    COUNT_OR_NONE,
    FLAG,
    NUMBER,
    NUMBER_OR_NONE,
    TEXT,
    TEXT_OR_COUNT,
    Each,
    OrNone,
)

_GROUP = OrNone({"domain": TEXT, "class": TEXT_OR_COUNT, "accuracy": NUMBER, "images": COUNT})
_EFFECT = {
    **dict.fromkeys(("latent", "quantized", "measured", "predicted"), NUMBER),
    **dict.fromkeys(("first_order?", "second_order?"), NUMBER),
    **dict.fromkeys(("standard_error", "uniform", "uniform_standard_error"), NUMBER_OR_NONE),
}
RESULTS: dict[str, Any] = {
    "flatness": {
        "radii": [NUMBER],
        "images": Each(COUNT),
        "norm": NUMBER,
        "curves": [
            {
                **dict.fromkeys(("role", "direction", "weights"), TEXT),
                "loss": NUMBER,
                "mean": [NUMBER],
                "standard_error": [NUMBER_OR_NONE],
                "directions": COUNT,
                "converged": FLAG,
            }
        ],
    },
    "hessian": {
        "images": COUNT,
        "top": {"value": NUMBER, "residual": NUMBER_OR_NONE, "converged": FLAG},
        "trace": {"mean": NUMBER, "standard_error": NUMBER_OR_NONE, "probes": COUNT},
    },
    "noise": {
        "bins?": COUNT,
        "kl_uniform_sample?": NUMBER_OR_NONE,
        "layers": [
            {
                "name": TEXT,
                "weights": COUNT,
                "bits": COUNT,
                "kl_in_steps?": NUMBER,
                "kl_inside?": NUMBER,
                **dict.fromkeys(("kl", "rms_ratio", "bias", "clipped"), NUMBER),
                "histogram": {"edges": [NUMBER], "density": [NUMBER]},
                "symmetry": {"lower": [NUMBER], "upper": [NUMBER]},
            }
        ],
    },
    "noise_effect": {"roles": Each(_EFFECT)},
    "stability": {
        "weights": Each(
            {
                "steps": [COUNT],
                **{key: [NUMBER_OR_NONE] for key in ("source", "target_in", "target_out")},
                **dict.fromkeys(("std_after_start", "best_minus_selected"), NUMBER_OR_NONE),
            }
        ),
        "start": COUNT_OR_NONE,
    },
    "code_use": {
        "norm": NUMBER,
        "layers": [
            {
                "name": TEXT,
                "weights": COUNT,
                "norm": NUMBER,
                **dict.fromkeys(("bits", "codes_used", "codes_available"), COUNT_OR_NONE),
                "entropy": NUMBER_OR_NONE,
            }
        ],
    },
    "calibration": {
        "domains": [
            {
                **dict.fromkeys(("domain", "role", "part"), TEXT),
                "images": COUNT,
                **dict.fromkeys(("accuracy", "loss", "ece", "confidence"), NUMBER_OR_NONE),
                "reliability": [
                    {
                        "low": NUMBER,
                        "images": COUNT,
                        "accuracy": NUMBER_OR_NONE,
                        "confidence": NUMBER_OR_NONE,
                    }
                ],
                "selective": [{"coverage": NUMBER, "accuracy": NUMBER}],
            }
        ],
        "worst?": _GROUP,
        "worst_source?": _GROUP,
    },
    "grad_cam": {
        "layer": TEXT,
        "images": [
            {
                "path": TEXT,
                "domain": TEXT,
                "truth": TEXT_OR_COUNT,
                "predicted": TEXT_OR_COUNT,
                "confidence": NUMBER,
                "heat": [[NUMBER]],
            }
        ],
    },
    "plane": {
        "points": [{"label": TEXT, "x": NUMBER, "y": NUMBER}],
        "x": [NUMBER],
        "y": [NUMBER],
        "grids": [{"role": TEXT, "loss": [[NUMBER]]}],
        "images?": ANYTHING,
    },
}
