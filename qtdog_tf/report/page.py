"""Puts the sections together into one HTML file that needs no other. Start from `render`."""

import itertools
import re
from collections.abc import Sequence

from qtdog_tf.report.blocks import Missing, Section, bullets, command, paragraph
from qtdog_tf.report.html import Html, element, join, text
from qtdog_tf.report.material import Material, analyze_command
from qtdog_tf.report.style import CSS


def render(material: Material, sections: Sequence[Section]) -> str:
    """The report as HTML.

    Args:
        material: what it is made of.
        sections: in their order; those without a body are left out, and what is missing in any of
            them is named at the end.
    """
    shown = [section for section in sections if section.body]
    missing = list(dict.fromkeys(m for section in sections for m in section.missing))
    if missing:
        shown.append(Section("missing", "What could be here", _missing(material, missing)))
    links = [element("li", element("a", s.title, href=f"#{s.name}")) for s in shown]
    contents = element(
        "nav", element("h2", "Contents"), element("ol", *links), aria_label="Contents"
    )
    body = element(
        "div",
        element("header", element("h1", material.title)),
        contents,
        element("main", *(_section(section) for section in shown)),
        element("footer", command([material.command], "This report was made by")),
        class_="page",
    )
    head = join(
        [
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width,initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("title", material.title),
            element("style", Html(CSS)),
        ],
        "\n",
    )
    page = f'<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'
    return "<!doctype html>\n" + with_unique_ids(page)


def with_unique_ids(page: str) -> str:
    """Gives what is defined inside each drawing a name that no other drawing uses.

    Args:
        page: HTML whose drawings use the same names.
    """
    numbers = itertools.count(1)

    def renamed(drawing: re.Match[str]) -> str:
        prefix = f"f{next(numbers)}-"

        def tag(match: re.Match[str]) -> str:
            plain = match[0].replace(' xmlns="http://www.w3.org/2000/svg"', "")
            return re.sub(r'( id="|url\(#| href="#)', lambda m: m[1] + prefix, plain)

        return re.sub(r"<[^>]*>", tag, drawing[0])

    return re.sub(r"<svg\b.*?</svg>", renamed, page, flags=re.DOTALL)


def _section(section: Section) -> Html:
    return element("section", element("h2", section.title), section.body, id=section.name)


def _missing(material: Material, missing: Sequence[Missing]) -> Html:
    by = "Would be made by"
    items = []
    analyses = [entry for entry in missing if entry.analysis]
    if analyses:
        names = bullets(_named(entry) for entry in analyses)
        made = command([analyze_command(material, *(entry.analysis for entry in analyses))], by)
        items.append(text("Of models:") + names + made)
    for entry in missing:
        if not entry.analysis:
            items.append(_named(entry) + command([entry.command], by))
    note = paragraph("The report shows what it was given. It would also show:", muted=True)
    return note + bullets(items)


def _named(entry: Missing) -> Html:
    return text(f"{entry.what}. {entry.why}".strip())
