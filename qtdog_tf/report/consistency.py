"""Whether what is in the file of an analysis fits together: equal lengths, rising places."""

import itertools
from typing import Any


def inconsistency(analysis: str, result: Any) -> str | None:
    """What does not fit together in a result of the right shape; None if everything does."""
    check = {
        "flatness": _flatness,
        "noise": _noise,
        "stability": _stability,
        "calibration": _calibration,
        "code_use": _code_use,
        "grad_cam": _grad_cam,
        "plane": _plane,
    }.get(analysis)
    return check(result) if check else None


def _flatness(result: Any) -> str | None:
    count = len(result["radii"])
    lengths = {len(c[key]) for c in result["curves"] for key in ("mean", "standard_error")}
    return None if count and lengths <= {count} else "curves are not as long as the radii"


def _noise(result: Any) -> str | None:
    for layer in result["layers"]:
        edges, density = (layer["histogram"][key] for key in ("edges", "density"))
        # Edges may be equal: those of values that are all the same.
        if not density or len(edges) != len(density) + 1 or edges != sorted(edges):
            return f"the histogram of {layer['name']} has no edges that fit"
        if len(layer["symmetry"]["lower"]) != len(layer["symmetry"]["upper"]):
            return f"the halves of {layer['name']} differ in length"
    return None


def _stability(result: Any) -> str | None:
    for curve in result["weights"].values():
        allowed = {0, len(curve["steps"])}
        if len(curve["source"]) != len(curve["steps"]) or len(curve["target_in"]) not in allowed:
            return "a curve is not as long as its steps"
    return None


def _calibration(result: Any) -> str | None:
    for domain in result["domains"]:
        for entry in domain["reliability"]:
            if entry["images"] and None in (entry["accuracy"], entry["confidence"]):
                return f"a bin of {domain['domain']} has images and no accuracy"
    return None


def _code_use(result: Any) -> str | None:
    for layer in result["layers"]:
        if layer["bits"] is not None and None in (
            layer["codes_used"],
            layer["codes_available"],
            layer["entropy"],
        ):
            return f"{layer['name']} has bits and no codes"
    return None


def _grad_cam(result: Any) -> str | None:
    for image in result["images"]:
        if not _is_grid(image["heat"]):
            return "a heat map is no rectangle of numbers"
    return None


def _plane(result: Any) -> str | None:
    x, y = result["x"], result["y"]
    if min(len(x), len(y)) < 2 or not _rises(x) or not _rises(y):
        return "the places of the grid do not rise"
    for grid in result["grids"]:
        if len(grid["loss"]) != len(y) or {len(row) for row in grid["loss"]} != {len(x)}:
            return "a grid is not as large as its places"
    return None


def _is_grid(rows: list[list[float]]) -> bool:
    return bool(rows) and bool(rows[0]) and len({len(row) for row in rows}) == 1


def _rises(values: list[float]) -> bool:
    return all(a < b for a, b in itertools.pairwise(values))
