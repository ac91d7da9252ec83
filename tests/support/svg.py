"""What a finished picture shows, read from its SVG: words, lines, bands and markers, in points from the upper left."""

import base64
import re
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from workflows.results.report.drawing import Picture

SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}href"


class Frame(NamedTuple):
    """Where a panel lies.

    left, top: its corner.
    width, height: its size.
    """

    left: float
    top: float
    width: float
    height: float


class Scale(NamedTuple):
    """A linear scale of an axis: place = start + unit * value."""

    start: float
    unit: float

    def places(self, values: np.ndarray) -> np.ndarray:
        """Where values stand."""
        return self.start + self.unit * np.asarray(values, float)


def text_of(picture: Picture) -> str:
    """The SVG."""
    return base64.b64decode(picture.source.partition(",")[2]).decode()


def words(picture: Picture) -> list[str]:
    """All words in order: letters are outlines, and a comment before them says what they spell."""
    return re.findall(r"<!-- (.*?) -->", text_of(picture))


def lines(picture: Picture, color: str, width: float, dashed: bool = False) -> list[np.ndarray]:
    """The points [n, 2] of every line of that look within the panels."""
    look = {"stroke": color, "stroke-width": f"{width:g}"}
    return [
        points(path.get("d", ""))
        for path in ElementTree.fromstring(text_of(picture)).iter(f"{SVG}path")
        if path.get("clip-path")
        and look.items() <= style(path).items()
        and dashed == ("stroke-dasharray" in style(path))
    ]


def bands(picture: Picture, opacity: float) -> list[np.ndarray]:
    """The outline [n, 2] of every area of that opacity."""
    root = ElementTree.fromstring(text_of(picture))
    paths = {path.get("id"): path.get("d", "") for path in root.iter(f"{SVG}path")}
    return [
        points(paths[use.get(XLINK, "")[1:]]) + np.array([float(use.get("x", 0)), float(use.get("y", 0))])
        for use in root.iter(f"{SVG}use")
        if style(use).get("fill-opacity") == f"{opacity:g}"
    ]


def markers(picture: Picture, **look: str) -> np.ndarray:
    """Where [n, 2] the markers of that look (fill, stroke) stand within the panels."""
    root = ElementTree.fromstring(text_of(picture))
    groups = (group for group in root.iter(f"{SVG}g") if group.get("clip-path"))
    uses = [use for group in groups for use in group.iter(f"{SVG}use") if look.items() <= style(use).items()]
    return np.array([[float(use.get("x", 0)), float(use.get("y", 0))] for use in uses]).reshape(-1, 2)


def frames(picture: Picture) -> list[Frame]:
    """Every panel, in order."""
    root = ElementTree.fromstring(text_of(picture))
    corners = [
        points(path.get("d", ""))
        for group in root.iter(f"{SVG}g")
        if re.fullmatch(r"axes_\d+", group.get("id", ""))
        for path in group.findall(f"{SVG}g/{SVG}path")[:1]
    ]
    return [Frame(*map(float, (*corner.min(axis=0), *np.ptp(corner, axis=0)))) for corner in corners]


def ends_of(band: np.ndarray) -> np.ndarray:
    """Places [x, 3] along a band: x, and of its lower and its upper end y (lower values are lower on the page)."""
    across = np.unique(band[:, 0])
    inside = (band[band[:, 0] == x, 1] for x in across)
    return np.array([(x, y.max(), y.min()) for x, y in zip(across, inside, strict=True)])


def scale(values: np.ndarray, places: np.ndarray) -> Scale:
    """The linear scale on which the values stand at these places. AssertionError where there is none."""
    values, places = np.ravel(values).astype(float), np.ravel(places)
    unit, start = np.polyfit(values, places, 1)
    found = Scale(float(start), float(unit))
    # A hundredth of a point.
    np.testing.assert_allclose(found.places(values), places, atol=1e-2)
    return found


def points(path: str) -> np.ndarray:
    """The vertices [n, 2] of a path of straight lines."""
    return np.array([float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", path)]).reshape(-1, 2)


def style(element: ElementTree.Element) -> dict[str, str]:
    """The style of an element, by property."""
    pairs = (entry.partition(":") for entry in element.get("style", "").split(";") if entry.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}
