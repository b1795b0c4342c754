"""Matplotlib's SVG inside a page: nothing from outside, no ids of its own, short numbers, styles and shapes shared."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from bench.report.figure import Figure, Panel
from bench.report.style import INK
from bench.report.svg import SharedParts, inline, shortened

SVG = f"""<?xml version="1.0"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="9pt" viewBox="0 0 9 9">
 <metadata>by hand</metadata>
 <defs><style type="text/css">*{{stroke-linejoin: round}}</style></defs>
 <g id="figure_1">
  <g id="patch_1"><path d="M 0 9 L 9 9 z" style="fill: none"/></g>
  <g id="series-a&amp;b"><path d="M 1.23456 -12.3456 L 0.001 2.0" style="stroke: {INK}"/></g>
  <g id="series-a&amp;b"><defs><path id="m1" d="M 0 1 L 1 0" style="stroke: {INK}"/></defs>
   <g clip-path="url(#p1)"><use xlink:href="#m1" x="1.005" y="2" style="stroke: {INK}"/></g></g>
  <g id="text_1"><text style="font-size: 9px; font-family: 'DejaVu Sans'" transform="rotate(-0 1 2)">a &lt; b</text></g>
 </g>
 <defs><clipPath id="p1"><path d="M 0 0"/></clipPath></defs>
</svg>"""


@pytest.fixture
def shared() -> SharedParts:
    return SharedParts()


@pytest.fixture
def drawing(shared) -> ET.Element:
    return ET.fromstring(inline(SVG, shared))


def test_what_a_page_does_not_need_is_gone(drawing):
    text = inline(SVG, SharedParts())
    for gone in (
        "metadata",
        "DOCTYPE",
        "xmlns",
        "xlink",
        "figure_1",
        "font-family",
        "rotate",
        "width",
        "defs",
        INK,
    ):
        assert gone not in text
    assert text.startswith('<svg viewBox="0 0 9 9"') and drawing.get("aria-hidden") == "true"
    assert not [path for path in drawing.iter("path") if path.get("d") == "M0 9L9 9z"], "a background"


def test_shapes_are_defined_once_for_all_drawings(drawing, shared):
    other = ET.fromstring(inline(SVG.replace('"m1"', '"m7"').replace("#m1", "#m7"), shared))
    defined = {shape.get("id"): shape for shape in ET.fromstring(shared.definitions()).find("defs")}
    assert [(shape.tag, name) for name, shape in defined.items()] == [("path", "d0"), ("clipPath", "d1")]
    for one in (drawing, other):
        assert next(one.iter("use")).get("href") == "#d0"
        assert not [element for element in one.iter() if element.get("id")]
    assert defined["d0"].get("d") == "M0 1L1 0" and defined["d1"].find("path").get("d") == "M0 0"
    assert "clip-path: url(#d1)" in shared.rules()


def test_numbers_are_short_and_text_is_kept(drawing):
    series = next(group for group in drawing.iter("g") if group.get("data-algorithm"))
    assert (series.get("data-algorithm"), series.get("class")) == ("a&b", "series")
    assert series.find("path").get("d") == "M1.23 -12.3L0 2"
    assert next(drawing.iter("text")).text == "a < b"


def test_a_line_and_its_markers_are_one_series(drawing):
    (series,) = [group for group in drawing.iter("g") if group.get("data-algorithm")]
    assert [element.tag for element in series.iter()] == ["g", "path", "g", "use"]


def test_the_bars_of_a_learner_are_one_path(shared):
    def bars(ax) -> None:
        ax.vlines([0, 1, 2], 0, [1, 2, 3], gid="series-x")

    drawn = ET.fromstring(Figure("f", "F", [panel := Panel("p", "alt", bars)]).markup(panel, shared))
    (series,) = [group for group in drawn.iter("g") if group.get("data-algorithm") == "x"]
    (path,) = series.iter("path")
    assert path.get("d").count("M") == 3


def test_what_neighbours_share_stands_once(shared):
    def lines(ax) -> None:
        for n in range(3):
            ax.plot([0, n], [1, 1], "-" if n else "o-", gid="series-x")
        ax.scatter([1], [1])

    drawn = ET.fromstring(Figure("f", "F", [panel := Panel("p", "alt", lines)]).markup(panel, shared))
    (series,) = [group for group in drawn.iter("g") if group.get("data-algorithm") == "x"]
    classes = [set(child.get("class", "").split()) for child in series]
    assert series.get("class").startswith("series v") and not set.intersection(*classes)
    paths = [path.get("d") for path in series.iter("path")]
    assert all(re.fullmatch(r"M[\d. ]+H[\d.]+", line) for line in paths if line.count("M") == 1), paths
    assert not [use for use in drawn.iter("use") if use.get("class")], "its clip would move with it"
    labels = [group for group in drawn.iter("g") if {child.tag for child in group} == {"text"}]
    assert len(labels) == 2, "those of each axis are in a group of their look"


def test_equal_styles_share_a_class(drawing, shared):
    assert shared.rules() == ".v0{stroke: currentColor}\n.v1{clip-path: url(#d1)}\n.v2{font-size: 9px}\n"
    looks = [e.get("class") for e in drawing.iter() if e.tag in ("g", "path", "use", "text")]
    assert looks == ["series", "v0", "v1", None, "v2"], "the marker's look is that of its shape"


def test_a_panel_needs_nothing_but_what_the_page_shares(shared):
    figure = Figure("f", "F", [Panel("p", "alt", lambda ax: ax.plot([0, 1], [1, 2], "o-", gid="series-x"))])
    markup = figure.markup(figure.panels[0], shared)
    assert markup == figure.markup(figure.panels[0], SharedParts())
    assert "http" not in markup and 'data-algorithm="x"' in markup
    defined = set(re.findall(r' id="([^"]+)"', shared.definitions()))
    assert (
        set(re.findall(r'href="#([^"]+)"', markup)) | set(re.findall(r"url\(#([^)]+)\)", shared.rules()))
        == defined
    )
    assert set(re.findall(r'class="(v\d+)"', markup)) <= set(re.findall(r"\.(v\d+){", shared.rules()))


NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def test_a_file_has_the_same_drawing_with_short_numbers():
    """Elements, texts, ids and styles are the same, and every coordinate to half a tenth of a point."""
    short = shortened(SVG)
    before, after = ET.fromstring(SVG), ET.fromstring(short)
    assert len(short) < len(SVG)
    for one, other in zip(before.iter(), after.iter(), strict=True):
        assert (one.tag, one.text, one.keys()) == (other.tag, other.text, other.keys())
        for name, value in one.attrib.items():
            pair = value, other.attrib[name]
            np.testing.assert_allclose(*(np.array(NUMBER.findall(text), float) for text in pair), atol=0.0501)
            assert len({"".join(NUMBER.sub("", text).split()) for text in pair}) == 1
