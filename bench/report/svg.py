"""Matplotlib's SVG as markup that lives inside a page and takes its font and text colour."""

import hashlib
import io
import re
import xml.etree.ElementTree as ET

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle

from bench.report.style import INK

_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_COORDINATES = ("d", "x", "y", "transform")
_IN_TEXT = re.compile(rf'(?<= )({"|".join(_COORDINATES)})="([^"]+)"')
_NUMBER = re.compile(r"-?\d+\.\d+")
_AROUND_COMMAND = re.compile(r"\s*([A-Za-z])\s*")
_REFERENCE = re.compile(r"(?<=url\(#)[^)]+")
_UNTURNED = "rotate(-0 "
_UNUSED = ("metadata", "style")
_BACKGROUND = "fill: none"
"""Style of a path that is not drawn."""


class SharedStyles:
    """A class of the page's style sheet for each style of its drawings: thousands of lines have a few dozen looks."""

    def __init__(self) -> None:
        self._classes: dict[str, str] = {}

    def class_of(self, style: str) -> str:
        """Return the class that stands for a `style` attribute."""
        return self._classes.setdefault(style, f"v{len(self._classes)}")

    def rules(self) -> str:
        """Return the rules of all classes, one a line."""
        return "".join(f".{name}{{{style}}}\n" for style, name in self._classes.items())


def drawing(figure: Figure, **metadata: str) -> str:
    """Return Matplotlib's SVG of a figure, without a date: equal figures give equal texts."""
    out = io.StringIO()
    FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None, **metadata})
    return out.getvalue()


def shortened(svg: str) -> str:
    """Return Matplotlib's SVG with coordinates to a tenth of a point: a file of two thirds of the size."""
    return _IN_TEXT.sub(lambda found: f'{found[1]}="{_shorter(found[1], found[2])}"', svg)


def inline(svg: str, prefix: str, styles: SharedStyles) -> str:
    """Return Matplotlib's SVG fit for a page: ids unique, numbers short, styles as classes, ink and font the page's own.

    A group drawn with gid `series-<algorithm>` carries that name in `data-algorithm`, so that a legend can find it.
    """
    parsed = ET.fromstring(svg)
    root = ET.Element("svg", {"viewBox": parsed.attrib["viewBox"], "aria-hidden": "true"})
    root.extend(part for child in parsed for part in _kept(child))
    root.text = "\n"
    ids = _short_ids(root, prefix)
    for element in root.iter():
        element.attrib = _attributes(element, ids, styles)
    return ET.tostring(root, encoding="unicode").replace(" />", "/>")


def _kept(element: ET.Element) -> list[ET.Element]:
    """Return the element without its namespace, or what is left of it: the children of a bare group, or nothing."""
    element.tag = element.tag.removeprefix(_SVG)
    if element.tag in _UNUSED or (element.tag == "path" and element.get("style") == _BACKGROUND):
        return []
    children = [part for child in element for part in _kept(child)]
    element[:] = children
    if element.tag not in ("text", "tspan"):
        element.text = "\n" if children else None
        element.tail = "\n"
    if element.tag == "g":
        _name_group(element)
    empty = not children and element.tag in ("g", "defs")
    return [] if empty else children if element.tag == "g" and not element.attrib else [element]


def _name_group(group: ET.Element) -> None:
    """Replace the id of a group by the name of the algorithm that it belongs to, if any."""
    name = group.attrib.pop("id", "")
    if name.startswith("series-"):
        group.attrib = {"class": "series", "data-algorithm": name.removeprefix("series-"), **group.attrib}


def _short_ids(root: ET.Element, prefix: str) -> dict[str, str]:
    """Return new ids by old: the first digits of a digest of the drawing's name, and a number within the drawing."""
    names = dict.fromkeys(element.get("id") for element in root.iter() if element.get("id"))
    first = hashlib.sha256(prefix.encode()).hexdigest()[:7]
    return {name: f"v{first}-{i}" for i, name in enumerate(names)}


def _attributes(element: ET.Element, ids: dict[str, str], styles: SharedStyles) -> dict[str, str]:
    """Return the attributes of an element as the page has them, in their order; a style becomes a class."""
    result = {}
    for name, value in element.attrib.items():
        name = "href" if name == _LINK else name
        value = _REFERENCE.sub(lambda found: ids[found[0]], value.replace(INK, "currentColor"))
        if name == "id":
            value = ids[value]
        elif name == "href":
            value = "#" + ids[value.removeprefix("#")]
        elif name == "style":
            name, value = "class", styles.class_of(_without_font(value))
        elif name in _COORDINATES:
            value = _shorter(name, value)
        if not (name == "transform" and value.startswith(_UNTURNED)):
            result[name] = f"{result[name]} {value}" if name in result else value
    return result


def _without_font(style: str) -> str:
    declarations = [part.strip() for part in style.split(";")]
    return "; ".join(part for part in declarations if part and not part.startswith("font-family"))


def _shorter(attribute: str, value: str) -> str:
    """Return the coordinates of an attribute with few digits, those of a path without spaces around its commands."""
    value = _NUMBER.sub(_short, value)
    return _AROUND_COMMAND.sub(r"\1", value.strip()) if attribute == "d" else value


def _short(match: re.Match) -> str:
    value = float(match[0])
    return f"{value:.{1 if abs(value) >= 10 else 2}f}".rstrip("0").rstrip(".")


def marker_path(marker: str) -> str:
    """Return the SVG path data of a Matplotlib marker in a box from -1 to 1, y downwards."""
    style = MarkerStyle(marker)
    polygons = style.get_path().transformed(style.get_transform()).to_polygons()
    return " ".join("M" + "L".join(f"{x:.2f} {-y:.2f}" for x, y in polygon) + "Z" for polygon in polygons)
