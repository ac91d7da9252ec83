"""HTML from Python values: everything that is not made here is escaped."""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workflows.results.inspect import number

NUMBER = re.compile(r"[-+]?[\d,.]+(e[-+]?\d+)?%?|-?")
"""What a cell of a column of numbers looks like; a dash or nothing where a number is not known."""

VOID = frozenset({"br", "img", "input", "meta"})
"""Elements without a closing tag."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(value: object) -> Markup:
    """Any value as HTML: markup stays, the rest is escaped, quotes too."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value), quote=True))


def joined(parts: Iterable[object]) -> Markup:
    """Parts one after another, each on its own line."""
    return Markup("\n".join(escaped(part) for part in parts))


def element(name: str, /, *children: object, **attributes: str) -> Markup:
    """<name attributes>children</name>; a trailing underscore keeps attributes off Python's keywords (class_)."""
    shown = "".join(f' {key.rstrip("_").replace("_", "-")}="{escaped(text)}"' for key, text in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{shown}>")
    return Markup(f"<{name}{shown}>{''.join(escaped(child) for child in children)}</{name}>")


def paragraphs(lines: Iterable[object]) -> Markup:
    """One paragraph a line."""
    return joined(element("p", line) for line in lines)


def bullets(lines: Iterable[object]) -> Markup:
    """An unordered list."""
    return element("ul", *(element("li", line) for line in lines))


def pairs(rows: Iterable[tuple[object, object]]) -> Markup:
    """A table of labels and texts."""
    return element(
        "table", *(element("tr", element("th", label, scope="row"), element("td", text)) for label, text in rows)
    )


def table(rows: Sequence[Mapping[str, Any]], caption: str) -> Markup:
    """A table with the keys of the first row as its columns; numbers in few digits, to the right."""
    cells = {key: [cell(row.get(key)) for row in rows] for key in rows[0]}
    align = {key: "number" if all(map(NUMBER.fullmatch, texts)) else "text" for key, texts in cells.items()}
    head = (element("th", key, scope="col", class_=align[key]) for key in cells)
    lines = zip(*cells.values(), strict=True)
    body = (
        element("tr", *(element("td", text, class_=align[key]) for key, text in zip(cells, line, strict=True)))
        for line in lines
    )
    # The caption stands outside the table, whose width it would otherwise take.
    whole = element("table", element("thead", element("tr", *head)), element("tbody", *body))
    return element("figure", element("figcaption", caption), whole, class_="table")


def titled_table(rows: Sequence[Mapping[str, Any]] | None, caption: str) -> list[Markup]:
    """A table, or nothing where there are no rows."""
    return [table(rows, caption)] if rows else []


def cell(value: Any) -> str:
    """A value as a table shows it."""
    return ("yes" if value else "no") if isinstance(value, bool) else number(value)


def figure(source: str, alt: str, caption: str) -> Markup:
    """A picture given as a data address, with what a reader without eyes or with paper needs."""
    return element("figure", element("img", src=source, alt=alt), element("figcaption", caption))
