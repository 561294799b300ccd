"""What models that are still there say about images of a domain that they have never seen."""

import shlex
from collections.abc import Mapping, Sequence

import numpy as np

from qtdog_tf.data import open_domains
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import (
    MODELS,
    DomainResult,
    Predictions,
    choose_images,
    evaluate_run,
    open_run,
)
from qtdog_tf.pictures.attention import read_square
from qtdog_tf.pictures.gallery import MAX_MODELS, RIGHT, WRONG, Gallery, make_gallery
from qtdog_tf.report.attention import preferred
from qtdog_tf.report.blocks import Missing, Section, command, heading, paragraph
from qtdog_tf.report.confusion import confusion
from qtdog_tf.report.html import Html, element, join
from qtdog_tf.report.images import picture
from qtdog_tf.report.material import Material
from qtdog_tf.report.numbers import percent
from qtdog_tf.report.records import RunRecord

NAME, TITLE = "predictions", "Predictions on an unseen domain"
_MODEL = MODELS[0]
_SIDE = 128


def predictions_section(material: Material, images: int, seed: int) -> Section:
    """Confusion matrices, and a fair sample of predictions.

    Args:
        material: of the report.
        images: how many to show at most.
        seed: chooses them.
    """
    runs = runs_to_show(material)
    if not runs:
        return _missing("It needs run folders that still hold their models.")
    try:
        found = _predict(runs)
        gallery = make_gallery(found, images, seed)
    except UserError as error:
        return _missing(f"It could not be made: {error}.", runs)
    target = next(iter(runs.values())).target
    body = paragraph(
        f"Of target {target}, trial {next(iter(runs.values())).trial}, by the moving average that "
        "source validation selects."
    )
    body += heading("Confusion matrices")
    body += element("div", *(_confusion(method, p.result) for method, p in found.items()))
    folders = ",".join(str(run.path) for run in runs.values())
    flag = shlex.quote(f"--runs={folders}")
    body += command([f"python -m tools.evaluate {flag} --domains={shlex.quote(target)}"])
    body += heading("Examples")
    body += _gallery(gallery)
    flags = f"--images={images} --seed={seed} --output=predictions.png"
    body += command([f"python -m tools.gallery {flag} {flags}"])
    return Section(NAME, TITLE, body)


def runs_to_show(material: Material) -> dict[str, RunRecord]:
    """Up to three runs of one target and trial that still hold their models.

    The target and trial with the most such runs, of those the first.
    """
    groups: dict[tuple[str, int], dict[str, RunRecord]] = {}
    for run in material.single_runs:
        # A gallery shows one domain.
        if len(run.summary["targets"]) == 1 and (run.path / f"{_MODEL}.keras").is_file():
            groups.setdefault((run.target, run.trial), {})[run.method] = run
    if not groups:
        return {}
    chosen = max(sorted(groups), key=lambda pair: len(groups[pair]))
    return preferred(groups[chosen], material.baseline, MAX_MODELS)


def _predict(runs: Mapping[str, RunRecord]) -> dict[str, Predictions]:
    found = {}
    for method, record in runs.items():
        run = open_run(record.path)
        chosen = choose_images(run, open_domains(run.data), (record.target,))
        found[method] = evaluate_run(run, _MODEL, chosen, label=method)[0]
    return found


def _confusion(method: str, result: DomainResult) -> Html:
    title = f"{method} on {result.domain}: {percent(result.accuracy)} % right"
    return confusion(result, title)


def _gallery(gallery: Gallery) -> Html:
    cards = []
    for number, path in enumerate(gallery.domain.paths):
        truth = int(gallery.domain.labels[number])
        name = gallery.classes[truth]
        said = [_said(gallery, method, number, truth) for method in gallery.probabilities]
        shown = picture(read_square(path, _SIDE), f"An image of class {name}")
        cards.append(element("div", shown, element("p", element("b", name)), *said, class_="card"))
    return paragraph(gallery.caption) + element("div", *cards, class_="cards")


def _said(gallery: Gallery, method: str, number: int, truth: int) -> Html:
    probabilities: np.ndarray = gallery.probabilities[method][number]
    predicted = int(probabilities.argmax())
    right = predicted == truth
    mark = element("span", RIGHT if right else WRONG, class_="good" if right else "bad")
    sure = f" {gallery.classes[predicted]} {100 * probabilities.max():.0f} %"
    return element("p", join([mark, sure]), element("br"), element("small", method, class_="muted"))


def _missing(why: str, runs: Mapping[str, RunRecord] | None = None) -> Section:
    paths: Sequence[str] = [str(run.path) for run in (runs or {}).values()] or ["<run>"]
    shown = shlex.quote("--runs=" + ",".join(paths))
    entry = Missing(
        "Confusion matrices and example predictions",
        f"python -m tools.gallery {shown} --output=predictions.png",
        why,
    )
    return Section(NAME, TITLE, missing=(entry,))
