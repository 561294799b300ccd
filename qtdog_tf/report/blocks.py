"""The blocks that a report is made of: tables, figures, commands, what may be folded away."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qtdog_tf.pictures.series import Style, svg_sample
from qtdog_tf.report.html import Html, element, join

_EMPTY = Html("")


@dataclasses.dataclass(frozen=True)
class Missing:
    """What the report would show if it were there.

    Attributes:
        what: its name.
        command: what makes it; "" if an analysis does.
        why: a sentence, if there is more to say.
        analysis: name of the analysis that makes it.
    """

    what: str
    command: str = ""
    why: str = ""
    analysis: str = ""


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        name: for its address in the page.
        title: heading.
        body: what it shows; nothing if it is left out.
        missing: what could be in it.
    """

    name: str
    title: str
    body: Html = _EMPTY
    missing: tuple[Missing, ...] = ()


def paragraph(*children: Any, muted: bool = False) -> Html:
    """A paragraph."""
    return element("p", *children, class_="muted" if muted else None)


def heading(title: str) -> Html:
    """The heading of a part of a section."""
    return element("h3", title)


def table(
    header: Sequence[Any],
    rows: Iterable[Sequence[Any]],
    caption: str,
    *,
    left: int = 1,
    groups: Sequence[tuple[str, Sequence[Sequence[Any]]]] = (),
) -> Html:
    """A table that scrolls by itself where the page is narrower.

    Args:
        header: names of the columns.
        rows: cells, as many as the header has.
        caption: what it shows.
        left: so many columns are text, on the left; numbers stand on the right.
        groups: further rows below a heading of their own each.
    """

    def line(cells: Sequence[Any]) -> Html:
        first, *others = cells
        shown = [element("th", first, scope="row")]
        for place, cell in enumerate(others, 1):
            shown.append(element("td", cell, class_="name" if place < left else None))
        return element("tr", *shown)

    head = [
        element("th", name, scope="col", class_="name" if place < left else None)
        for place, name in enumerate(header)
    ]
    bodies = [element("tbody", *(line(row) for row in rows))]
    for title, more in groups:
        spanning = element("th", title, colspan=len(header), scope="colgroup", class_="group")
        bodies.append(element("tbody", element("tr", spanning), *(line(row) for row in more)))
    whole = element("table", element("thead", element("tr", *head)), *bodies, aria_label=caption)
    # What is above stays where it is when the table scrolls.
    return element("p", caption, class_="caption") + scrolling(whole, caption)


def scrolling(wide: Html, label: str) -> Html:
    """Something that scrolls by itself where the page is narrower, by keyboard too."""
    return element("div", wide, class_="scroll", tabindex="0", role="region", aria_label=label)


def figure(panels: str, caption: Any, key: Html = _EMPTY) -> Html:
    """Pictures side by side, or below each other where the page is narrow.

    Args:
        panels: `<svg>` elements, as functions of `qtdog_tf.pictures` return them.
        caption: below them.
        key: which line is which, see `key_of`.
    """
    pictures = element("div", Html(panels), class_="panels")
    return element("figure", key, pictures, element("figcaption", caption))


def key_of(styles: Mapping[str, Style], names: Iterable[str]) -> Html:
    """Which line of a figure is which: a sample of each beside its name."""
    items = [element("li", Html(svg_sample(styles[name])), name) for name in names]
    return element("ul", *items, class_="key")


def command(lines: Iterable[str], what: str = "Made by") -> Html:
    """The commands that make something, the first in sight and the others folded away."""
    first, *others = dict.fromkeys(lines) or [""]
    if not first:
        return Html("")
    shown = element("p", what, class_="by") + _code([first])
    if others:
        count = f"and {len(others)} more command{'s' * (len(others) > 1)} like it"
        shown += details(count, _code(others))
    return element("div", shown, class_="command")


def details(summary: str, *children: Any) -> Html:
    """Something that is folded away until a reader asks for it."""
    return element("details", element("summary", summary), *children)


def bullets(items: Iterable[Any]) -> Html:
    """A list."""
    return element("ul", *(element("li", item) for item in items))


def definition(pairs: Iterable[tuple[Any, Any]]) -> Html:
    """Names and what stands for them."""
    return element("dl", join(element("div", element("dt", n), element("dd", v)) for n, v in pairs))


def _code(lines: Iterable[str]) -> Html:
    return element("pre", element("code", join(map(_line, lines), "\n")))


def _line(line: str) -> Html:
    # A flag is not broken where there is room for it on the next line.
    first, *flags = re.split(r" (?='?--\w)", line)
    return join([first, *(element("span", flag) for flag in flags)], " ")
