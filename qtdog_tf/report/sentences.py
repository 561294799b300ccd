"""What the summary of a report is made of: sentences with a lead, and tiles with one number."""

from qtdog_tf.report.html import Html, element
from qtdog_tf.report.numbers import PM

# Sentences as (lead, rest), and tiles.
Said = tuple[list[tuple[str, str]], list[Html]]


def nothing() -> Said:
    """No sentence and no tile."""
    return [], []


def tile(value: str, error: str, what: str) -> Html:
    """A number that is read at a glance.

    Args:
        value: the number.
        error: its standard error; "" or "-" for none.
        what: it is.
    """
    small = element("small", f" {PM} {error}") if error not in ("", "-") else ""
    return element("div", element("b", value, small), element("span", what), class_="tile")


def counted(number: int, what: str) -> str:
    """A number with its noun, in the plural if need be."""
    return f"{number} {what}{'s' * (number != 1)}"
