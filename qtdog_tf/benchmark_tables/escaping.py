r"""Names of domains, classes and folders in files that other programs read.

Whoever makes a data set names its folders: a name must stay a name in Markdown, LaTeX and a
spreadsheet, whatever characters are in it.
"""

import re
import unicodedata

_MARKDOWN = re.compile(r"[\\`*_\[\]<>|~$&#{}^]|(?<=\w)\.(?=\w)|:(?=/)|@(?=\w)")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "`": "{`}",
    # At the beginning of a row these two would be taken for an argument of the line break.
    "[": "{[}",
    "*": "{*}",
    **{character: "\\" + character for character in "&%$#_{}"},
}
# Two of them are one other character.
_LIGATURE = re.compile(r"([-'])(?=\1)")
# What pdfLaTeX's first fonts have beyond ASCII: some letters, and letters with these accents.
_LETTERS = "ßæøÆØœŒ"
_ACCENTS = "\u0300\u0301\u0302\u0303\u0308\u030a\u030c\u0327"
# A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@")


def markdown(text: str) -> str:
    """A text for a cell or a line of Markdown."""
    return _MARKDOWN.sub(lambda found: "\\" + found[0], _one_line(text))


def latex(text: str) -> str:
    """A text for LaTeX; a character that its fonts may lack becomes its number."""
    return _LIGATURE.sub(r"\1{}", "".join(_latex_character(c) for c in _one_line(text)))


def spreadsheet(text: str) -> str:
    """A text for a cell of a CSV file: with a quote in front if it would be a formula."""
    return "'" + text if text.lstrip().startswith(_FORMULA) else text


def _latex_character(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    if character.isascii() or character in _LETTERS or _is_accented(character):
        return character
    return f"{{[}}U+{ord(character):04X}]"


def _is_accented(character: str) -> bool:
    parts = unicodedata.normalize("NFD", character)
    return ord(character) < 0x180 and len(parts) == 2 and parts[0] < "\x80" and parts[1] in _ACCENTS


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
