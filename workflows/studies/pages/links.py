"""Is a built site whole? Links and their anchors lead somewhere, pictures have words, nothing comes from another host.

    python -m workflows.studies.pages.links .cache/site

Needs nothing but Python. Exit status 1 where something is wrong, with all of it.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""The attribute by which an element brings in another file."""
IMPORTED = re.compile(r"url\(\s*['\"]?(?:https?:)?//|@import\s+['\"](?:https?:)?//")


class Page(NamedTuple):
    """What matters of an HTML page: links (a href), loaded (files it brings in), anchors (ids) and pictures without an
    alternative text."""

    links: list[str]
    loaded: list[str]
    anchors: set[str]
    wordless: list[str]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page([], [], set(), [])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.page.anchors.update(value for key in ("id", "name") if (value := given.get(key)))
        target = given.get(LOADED.get(tag, ""))
        if target is not None and given.get("rel") not in ("canonical", "prev", "next"):
            self.page.loaded.append(target)
        if tag == "a" and (href := given.get("href")) is not None:
            self.page.links.append(href)
        if tag == "img" and not (given.get("alt") or "").strip():
            self.page.wordless.append(given.get("src") or "")


def read(text: str) -> Page:
    """The links, files, anchors and pictures of a page."""
    reader = _Reader()
    reader.feed(text)
    return reader.page


def problems(site: Path) -> Iterator[str]:
    """A line for everything that is wrong in the pages and style sheets below a folder."""
    pages = {file.resolve(): read(file.read_text("utf-8")) for file in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site} holds no pages"
    for file, page in pages.items():
        name = file.relative_to(site.resolve())
        if name.name == "404.html":
            continue  # its addresses are those of a server's root
        yield from (f"{name}: loads {target} from another host" for target in page.loaded if _elsewhere(target))
        yield from (f"{name}: the picture {source} has no alternative text" for source in page.wordless)
        local = (target for target in [*page.links, *page.loaded] if not _elsewhere(target))
        yield from (f"{name}: {target} leads nowhere" for target in local if not _leads(target, file, pages))
    for sheet in sorted(site.rglob("*.css")):
        if IMPORTED.search(sheet.read_text("utf-8")):
            yield f"{sheet.relative_to(site)}: loads from another host"


def _elsewhere(target: str) -> bool:
    """Whether a target is on another host, or no file at all (mail, data)."""
    parts = urlsplit(target)
    return bool(parts.netloc) or parts.scheme not in ("", "file")


def _leads(target: str, source: Path, pages: dict[Path, Page]) -> bool:
    """Whether a local target of a page is there, its anchor included."""
    parts = urlsplit(target)
    file = (source.parent / unquote(parts.path)).resolve() if parts.path else source
    if file.is_dir():
        file = file / "index.html"
    if not file.is_file():
        return False
    anchor = unquote(parts.fragment)
    return not anchor or file not in pages or anchor in pages[file].anchors or anchor == "__skip"


def main(arguments: list[str] | None = None) -> int:
    """Print what is wrong with a site."""
    parser = argparse.ArgumentParser(description="check the links of a built site")
    parser.add_argument("site", type=Path)
    found = list(problems(parser.parse_args(arguments).site))
    print("\n".join(found) if found else "every link leads somewhere, and nothing comes from another host")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
