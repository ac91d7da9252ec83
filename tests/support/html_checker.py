"""A page as a browser's parser sees it: balanced, self-contained, every picture described and well-formed."""

import base64
from html.parser import HTMLParser
from xml.etree import ElementTree

VOID = {"meta", "img", "input", "br"}
OWN = ("data:", "#")
"""How the addresses of a page that needs nothing else begin."""


class Page(HTMLParser):
    """Parses a whole page; `problems` is empty for a good one. own: how its addresses begin; fields: hidden ones of its
    forms; refresh: seconds after which it is loaded anew, as it says."""

    def __init__(self, source: str, own: tuple[str, ...] = OWN) -> None:
        super().__init__(convert_charrefs=True)
        self.own = own
        self.forms: list[str] = []
        self.fields: dict[str, str] = {}
        self.refresh: int | None = None
        self.problems: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[str] = []
        self.pieces: list[str] = []
        self.tags: set[str] = set()
        self.feed(source)
        self.close()
        self.problems += [f"<{tag}> is never closed" for tag in self.open]
        self.problems += [f"id {name} twice" for name in set(self.ids) if self.ids.count(name) > 1]
        inner = [link[1:] for link in self.links if link.startswith("#")]
        self.problems += [f"no id for link #{link}" for link in inner if link not in self.ids]
        for image in self.images:
            self._check_image(image)

    @property
    def text(self) -> str:
        """The words of the page, cells and paragraphs apart, with single spaces."""
        return " ".join(" ".join(self.pieces).split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = dict(attributes)
        if tag == "img" and not found.get("alt"):
            self.problems.append("a picture without words for it")
        for name, value in found.items():
            if name in ("src", "href", "action") and not (value or "").startswith(self.own):
                self.problems.append(f"{name} leads out of the page: {value}")
            if name.startswith("on"):
                self.problems.append(f"code in {name}")
        self.ids += [found["id"] or ""] if "id" in found else []
        self.links += [found["href"] or ""] if tag == "a" else []
        self.forms += [found["action"] or ""] if tag == "form" and found.get("method") == "post" else []
        if tag == "input" and found.get("type") == "hidden":
            self.fields[found["name"] or ""] = found["value"] or ""
        if tag == "meta" and found.get("http-equiv") == "refresh":
            self.refresh = int(found["content"] or "")
        self.images += [found["src"] or ""] if tag == "img" else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style" and ("url(" in data or "@import" in data):
            self.problems.append("the style loads something")
        if "style" not in self.open:
            self.pieces.append(data)

    def _check_image(self, address: str) -> None:
        head, _, data = address.partition(",")
        if head != "data:image/svg+xml;base64":
            self.problems.append(f"a picture that is no SVG: {head}")
            return
        for element in ElementTree.fromstring(base64.b64decode(data)).iter():
            for name, value in element.attrib.items():
                if name.endswith("href") and not value.startswith(OWN):
                    self.problems.append(f"an SVG that loads {value}")
