"""HTML that is escaped by construction: what is not `Html` yet is text. Start from `element`."""

import html
from collections.abc import Iterable
from typing import Any

_VOID = {"br", "img", "meta"}
# Line breaks matter in commands.
_KEPT = "\n\t"


class Html(str):
    """A piece of HTML; of any other string, `element` escapes every character that means more."""

    __slots__ = ()

    def __add__(self, other: str) -> "Html":
        return Html(str.__add__(self, text(other)))


def text(value: Any) -> Html:
    """Escapes a value, and replaces characters that no page can show or that turn its direction."""
    if isinstance(value, Html):
        return value
    shown = "".join(
        c if c.isprintable() or c in _KEPT else "\N{REPLACEMENT CHARACTER}" for c in str(value)
    )
    return Html(html.escape(shown, quote=True))


def element(tag: str, *children: Any, **attributes: Any) -> Html:
    """An element with its children.

    Args:
        tag: its name.
        *children: `Html`, or anything else, which is escaped as text.
        **attributes: by name, "class_" for "class", "aria_label" for "aria-label". None leaves one
            out, True gives one without a value.
    """
    shown = ""
    for name, value in attributes.items():
        if value is not None and value is not False:
            key = name.strip("_").replace("_", "-")
            shown += f" {key}" if value is True else f' {key}="{text(value)}"'
    if tag in _VOID:
        return Html(f"<{tag}{shown}>")
    return Html(f"<{tag}{shown}>{join(children)}</{tag}>")


def join(parts: Iterable[Any], between: str = "") -> Html:
    """Pieces one behind the other; what is not `Html` is escaped."""
    return Html(text(between).join(text(part) for part in parts))
