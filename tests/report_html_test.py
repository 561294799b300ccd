"""Pages are escaped by construction, and drawings in one page do not share names."""

import html

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qtdog_tf.report.blocks import Section, bullets, command, definition, details, table
from qtdog_tf.report.html import Html, element, join, text
from qtdog_tf.report.page import with_unique_ids
from tests.report_checks import Page


@settings(max_examples=60)
@given(st.text(st.characters(exclude_categories=[])))
@example('"><script>alert(1)</script>')
@example("\ud800\x00\u202e")
def test_any_text_is_shown_and_never_read_as_html(value: str) -> None:
    page = element("div", value, element("p", "x", title=value), class_=value)
    page.encode("utf-8")
    read = Page(page)
    assert read.tags == ["div", "p"] and not read.problems
    assert html.unescape(text(value)).isprintable() or "\n" in value or "\t" in value


def test_what_is_added_to_html_is_escaped() -> None:
    page = element("b", "a") + "<i>"
    page += "&"
    assert page == "<b>a</b>&lt;i&gt;&amp;" and isinstance(page, Html)
    assert join(["<", Html("<br>")], " & ") == "&lt; &amp; <br>"


def test_elements() -> None:
    assert element("td", 3, colspan=2, class_=None, hidden=True) == '<td colspan="2" hidden>3</td>'
    assert element("img", alt='"', src="a") == '<img alt="&quot;" src="a">'
    assert element("p", aria_label="x") == '<p aria-label="x"></p>'


def test_blocks_escape_what_they_show() -> None:
    bad = "<script>"
    blocks = [
        table([bad, "n"], [[bad, 1]], bad, groups=[(bad, [[bad, 2]])]),
        command([f"python --title={bad}", bad], bad),
        details(bad, bad),
        bullets([bad]),
        definition([(bad, bad)]),
    ]
    for block in blocks:
        read = Page(block)
        assert not read.problems and "script" not in read.tags
        assert "<script>" in read.text


def test_a_table_has_numbers_on_the_right_and_names_on_the_left() -> None:
    shown = table(["name", "what", "n"], [["a", "b", "1"]], "caption", left=2)
    assert '<th scope="row">a</th><td class="name">b</td><td>1</td>' in shown
    assert 'role="region"' in shown and 'tabindex="0"' in shown


def test_commands_are_shown_once_and_without_any_nothing_is() -> None:
    shown = command(["a --x=1 --y='2 3'", "b", "b", "a --x=1 --y='2 3'"])
    assert shown.count("<pre>") == 2 and "and 1 more command like it" in shown
    # What is copied is what was typed.
    assert "a --x=1 --y='2 3'" in Page(shown).text
    assert command([]) == command([""]) == ""


def test_drawings_get_names_of_their_own() -> None:
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" aria-label="a"><title>t</title><defs>'
        '<clipPath id="i0"></clipPath></defs><use href="#i1"/><path id="i1" clip-path="url(#i0)"/>'
        "<text>url(#i0)</text></svg>"
    )
    page = with_unique_ids(f"<p>{drawing}{drawing}</p>")
    read = Page(page)
    assert not read.problems
    assert read.ids == ["f1-i0", "f1-i1", "f2-i0", "f2-i1"]
    assert read.text.count("url(#i0)") == 2 and "http" not in page


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ("<p><b></p></b>", "closes nothing"),
        ("<p>", "not closed"),
        ('<p id="a"></p><p id="a"></p>', "used twice"),
        ('<img src="data:image/png;base64,AA">', "alternative"),
        ('<img alt="x" src="https://a.b/c.png">', "outside"),
        ("<svg></svg>", "neither a title"),
        ('<a href="#nowhere">x</a>', "link to #nowhere"),
        ('<p onclick="x">a</p>', "handler"),
        ('<p style="background:url(//a.b)">a</p>', "outside"),
        ("<style>@import 'a'</style>", "outside"),
    ],
)
def test_the_check_of_pages_notices(page: str, problem: str) -> None:
    assert any(problem in found for found in Page(page).problems)


def test_a_section_is_empty_until_it_has_a_body() -> None:
    assert not Section("a", "A").body
