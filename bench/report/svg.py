"""Matplotlib's SVG as markup that lives inside a page and takes its font and text colour."""

import io
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from itertools import groupby

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle

from bench.report.style import INK, Style

_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_COORDINATES = ("d", "x", "y", "transform")
_IN_TEXT = re.compile(rf'(?<= )({"|".join(_COORDINATES)})="([^"]+)"')
_NUMBER = re.compile(r"-?\d+\.\d+")
_AROUND_COMMAND = re.compile(r"\s*([A-Za-z])\s*")
_LEVEL = re.compile(r"(?<= )([^ A-Z]+)L([^ A-Z]+) \1(?![^ A-Z])")
_UPRIGHT = re.compile(r"(?<=[A-Z])([^ A-Z]+) ([^ A-Z]+)L\1 ")
_REFERENCE = re.compile(r"(?<=url\(#)[^)]+")
_TAG = re.compile(r"<\w+")
_UNTURNED = "rotate(-0 "
_UNUSED = ("metadata", "style")
_BACKGROUND = "fill: none"
"""Style of a path that is not drawn."""


class SharedParts:
    """What the drawings of a page share: thousands of lines have a few dozen looks, markers and frames to be clipped to."""

    def __init__(self) -> None:
        self._classes: dict[str, str] = {}
        self._ids: dict[str, str] = {}

    def class_of(self, style: str) -> str:
        """Return the class that stands for a `style` attribute."""
        return self._classes.setdefault(style, f"v{len(self._classes)}")

    def id_of(self, definition: ET.Element) -> str:
        """Return the id under which the page defines a shape that has none of its own."""
        return self._ids.setdefault(_text(definition).strip(), f"d{len(self._ids)}")

    def rules(self) -> str:
        """Return the rules of all classes, one a line."""
        return "".join(f".{name}{{{style}}}\n" for style, name in self._classes.items())

    def definitions(self) -> str:
        """Return an `<svg>` that shows nothing and defines the shapes; it is not `display: none`, which hides clips, too."""
        shapes = (_TAG.sub(rf'\g<0> id="{name}"', shape, count=1) for shape, name in self._ids.items())
        return '<svg class="hidden" aria-hidden="true"><defs>\n' + "\n".join(shapes) + "\n</defs></svg>"


def drawing(figure: Figure, **metadata: str) -> str:
    """Return Matplotlib's SVG of a figure, without a date: equal figures give equal texts."""
    out = io.StringIO()
    FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None, **metadata})
    return out.getvalue()


def shortened(svg: str) -> str:
    """Return Matplotlib's SVG with coordinates to a tenth of a point: a file of two thirds of the size."""
    return _IN_TEXT.sub(lambda found: f'{found[1]}="{_shorter(found[1], found[2])}"', svg)


def inline(svg: str, shared: SharedParts) -> str:
    """Return Matplotlib's SVG fit for a page: numbers short, styles and shapes shared, ink and font the page's own.

    A group drawn with gid `series-<algorithm>` carries that name in `data-algorithm`, so that a legend can find it.
    """
    parsed = ET.fromstring(svg)
    root = ET.Element("svg", {"viewBox": parsed.attrib["viewBox"], "aria-hidden": "true"})
    root.extend(_joined([part for child in parsed for part in _kept(child)]))
    root.text = "\n"
    ids = _definitions_out(root, shared)
    for element in root.iter():
        element.attrib = _attributes(element, ids, shared)
    (root,) = _hoisted(root)
    return _text(root)


def _hoisted(element: ET.Element) -> list[ET.Element]:
    """Return the element with the classes that neighbours share in one place: many markers of a line, all labels of an axis."""
    element[:] = _labels_together([part for child in element for part in _hoisted(child)])
    return _shared(element) if element.tag == "g" else [element]


def _labels_together(elements: list[ET.Element]) -> list[ET.Element]:
    """Return the elements with each run of texts in a group, where they share a class."""
    result = []
    for is_text, run in groupby(elements, lambda element: element.tag == "text"):
        if is_text:
            group = ET.Element("g")
            group.text = group.tail = "\n"
            group.extend(run)
            run = _shared(group)
        result += run
    return result


def _shared(group: ET.Element) -> list[ET.Element]:
    """Return the group with the classes that all its children have, or its children if nothing else is left of it.

    A lone `<use>` stays in its group: a clip of its own would move with it.
    """
    if len(group) > 1:
        names = [name for name in _classes(group[0]) if all(name in _classes(child) for child in group)]
        for child in group:
            _set_classes(child, [name for name in _classes(child) if name not in names])
        _set_classes(group, _classes(group) + names)
        bare = [child.tag == "g" and not child.attrib for child in group]
        group[:] = [
            part for child, gone in zip(group, bare, strict=True) for part in (child if gone else [child])
        ]
    elif group.attrib.keys() <= {"class"} and group[0].tag != "use":
        _set_classes(group[0], _classes(group[0]) + _classes(group))
        return list(group)
    return [group] if group.attrib else list(group)


def _classes(element: ET.Element) -> list[str]:
    return element.get("class", "").split()


def _set_classes(element: ET.Element, names: list[str]) -> None:
    element.attrib.pop("class", None)
    if names:
        element.set("class", " ".join(names))


def _definitions_out(root: ET.Element, shared: SharedParts) -> dict[str, str]:
    """Move the shapes that a drawing defines to the shared ones. Return their new ids by old."""
    ids, uses = {}, defaultdict(list)
    for use in root.iter("use"):
        uses[use.get(f"{_LINK}href").removeprefix("#")].append(use)
    for shape in [shape for definitions in root.iter("defs") for shape in definitions]:
        name = shape.attrib.pop("id")
        if len({use.get("style", "") for use in uses[name]}) == 1:  # a marker: its look is the shape's own
            shape.set("style", uses[name][0].get("style", ""))
            for use in uses[name]:
                use.attrib.pop("style", None)
        for part in shape.iter():
            part.attrib = _attributes(part, {}, shared)
        ids[name] = shared.id_of(shape)
    for parent in list(root.iter()):
        parent[:] = [child for child in parent if child.tag != "defs"]
    return ids


def _text(element: ET.Element) -> str:
    return ET.tostring(element, encoding="unicode").replace(" />", "/>")


def _kept(element: ET.Element) -> list[ET.Element]:
    """Return the element without its namespace, or what is left of it: the children of a bare group, or nothing."""
    element.tag = element.tag.removeprefix(_SVG)
    if element.tag in _UNUSED or (element.tag == "path" and element.get("style") == _BACKGROUND):
        return []
    children = [part for child in element for part in _kept(child)]
    if element.get("id", "").startswith(
        "matplotlib.axis"
    ):  # the lines of a grid follow each other, and are joined
        children.sort(key=lambda child: child.tag != "path")
    children = _joined(children)
    element[:] = children
    if element.tag not in ("text", "tspan"):
        element.text = "\n" if children else None
    if element.tag != "tspan":
        element.tail = "\n"
    if element.tag == "g":
        _name_group(element)
    empty = not children and element.tag in ("g", "defs")
    return [] if empty else children if element.tag == "g" and not element.attrib else [element]


def _joined(elements: list[ET.Element]) -> list[ET.Element]:
    """Return the elements with neighbours joined: equal groups (a learner's line and markers), and equal open lines."""
    result: list[ET.Element] = []
    for element in elements:
        if not result or _look(element) is None or _look(element) != _look(result[-1]):
            result.append(element)
        elif element.tag == "g":
            result[-1].extend(element)
        else:
            result[-1].set("d", f"{result[-1].get('d')} {element.get('d')}")
    return result


def _look(element: ET.Element) -> tuple[str, dict[str, str]] | None:
    """Return what two neighbours must share to be one element, or None for an element that stays alone."""
    open_line = element.tag == "path" and "fill: none" in element.get("style", "")
    return (element.tag, element.attrib | {"d": ""}) if open_line or element.tag == "g" else None


def _name_group(group: ET.Element) -> None:
    """Replace the id of a group by the name of the algorithm that it belongs to, if any."""
    name = group.attrib.pop("id", "")
    if name.startswith("series-"):
        group.attrib = {"class": "series", "data-algorithm": name.removeprefix("series-"), **group.attrib}


def _attributes(element: ET.Element, ids: dict[str, str], shared: SharedParts) -> dict[str, str]:
    """Return the attributes of an element as the page has them, in their order; style and clip become a class."""
    given = {
        name.removeprefix(_LINK): value.replace(INK, "currentColor") for name, value in element.attrib.items()
    }
    styles = [_without_font(given.pop("style", ""))]
    if clip := given.pop("clip-path", ""):
        styles.append(f"clip-path: url(#{ids[_REFERENCE.search(clip)[0]]})")
    result = {name: _shorter(name, value) if name in _COORDINATES else value for name, value in given.items()}
    if "href" in result:
        result["href"] = "#" + ids[result["href"].removeprefix("#")]
    if result.get("transform", "").startswith(_UNTURNED):
        del result["transform"]
    classes = [shared.class_of(style) for style in styles if style]  # apart: many looks, each in many frames
    if classes:
        result["class"] = " ".join(filter(None, [result.get("class"), *classes]))
    return result


def _without_font(style: str) -> str:
    declarations = [part.strip() for part in style.split(";")]
    return "; ".join(part for part in declarations if part and not part.startswith("font-family"))


def _shorter(attribute: str, value: str) -> str:
    """Return the coordinates of an attribute with few digits, those of a path without spaces around its commands and with H and V."""
    value = _NUMBER.sub(_short, value)
    if attribute != "d":
        return value
    value = _AROUND_COMMAND.sub(r"\1", value.strip())
    return _UPRIGHT.sub(r"\1 \2V", _LEVEL.sub(r"\1H\2", value))


def _short(match: re.Match) -> str:
    value = float(match[0])
    return f"{value:.{1 if abs(value) >= 10 else 2}f}".rstrip("0").rstrip(".")


def legend_key(style: Style, shared: SharedParts) -> str:
    """Return the id of a learner's mark in a legend: its line and marker, in a box from -1 to 1."""
    mark = ET.Element("g")
    dashes = {} if style.line == "-" else {"stroke-dasharray": ".3 .2"}
    ET.SubElement(mark, "path", {"d": "M-1 0H1", "stroke": style.colour, "stroke-width": ".22", **dashes})
    ET.SubElement(mark, "path", {"d": _marker_path(style.marker), "fill": style.colour})
    return shared.id_of(mark)


def _marker_path(marker: str) -> str:
    """Return the SVG path data of a Matplotlib marker in a box from -1 to 1, y downwards."""
    style = MarkerStyle(marker)
    polygons = style.get_path().transformed(style.get_transform()).to_polygons()
    return " ".join("M" + "L".join(f"{x:.2f} {-y:.2f}" for x, y in polygon) + "Z" for polygon in polygons)
