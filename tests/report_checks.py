"""Reads a page as a browser does, and says what is wrong with it."""

import re
from html.parser import HTMLParser

_VOID = {"br", "img", "meta"}
_OUTSIDE = re.compile(r"https?:|//", re.IGNORECASE)


class Page(HTMLParser):
    """What is in a page: elements that are open, ids, addresses, text, and problems."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.problems: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.headings: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self._unnamed: list[bool] = []
        self.feed(text)
        self.close()
        self.problems += [f"<{tag}> is not closed" for tag in self._open]
        self.problems += [f"id {i} is used twice" for i in set(self.ids) if self.ids.count(i) > 1]
        known = set(self.ids)
        self.problems += [f"link to {link}" for link in self.links if link[1:] not in known]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        if len(values) < len(attrs):
            self.problems.append(f"<{tag}> has an attribute twice")
        self._attributes(tag, values)
        if tag in _VOID:
            if tag == "img" and not values.get("alt"):
                self.problems.append("an image has no alternative text")
            return
        self._open.append(tag)
        if tag == "svg":
            self._unnamed.append(values.get("aria-hidden") != "true")
        if tag == "title" and "svg" in self._open:
            self._unnamed[-1] = False

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._attributes(tag, {name: value or "" for name, value in attrs})

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing")
        if tag == "svg" and self._unnamed.pop():
            self.problems.append("a drawing has neither a title nor is it decoration")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            if _OUTSIDE.search(data) or "@import" in data:
                self.problems.append("a style asks for something from outside")
            return
        if self._open and self._open[-1] in ("h1", "h2", "h3"):
            self.headings.append(data)
        self.text += data

    def _attributes(self, tag: str, values: dict[str, str]) -> None:
        if "id" in values:
            self.ids.append(values["id"])
        for name, value in values.items():
            if name.startswith("on"):
                self.problems.append(f"<{tag}> has a handler {name}")
            if name in ("href", "src", "srcset", "action", "poster"):
                if value.startswith("#"):
                    self.links.append(value)
                elif not re.match(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=\s]+$", value):
                    self.problems.append(f"<{tag} {name}> leads outside: {value[:60]}")
            self.links += [f"#{name}" for name in re.findall(r"url\(#([^)]+)\)", value)]
            if name == "style" and _OUTSIDE.search(value):
                self.problems.append(f"a style of <{tag}> leads outside")
