"""Matplotlib's SVG inside a page: nothing from outside, unique ids, short numbers, styles as classes."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from bench.report.figure import Figure, Panel
from bench.report.style import INK
from bench.report.svg import SharedStyles, inline, shortened

SVG = f"""<?xml version="1.0"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="9pt" viewBox="0 0 9 9">
 <metadata>by hand</metadata>
 <defs><style type="text/css">*{{stroke-linejoin: round}}</style></defs>
 <g id="figure_1">
  <g id="patch_1"><path d="M 0 9 L 9 9 z" style="fill: none"/></g>
  <g id="series-a&amp;b"><path id="m1" d="M 1.23456 -12.3456 L 0.001 2.0" style="stroke: {INK}"/></g>
  <g clip-path="url(#p1)"><use xlink:href="#m1" x="1.005" y="2" style="stroke: {INK}"/></g>
  <g id="text_1"><text style="font-size: 9px; font-family: 'DejaVu Sans'" transform="rotate(-0 1 2)">a &lt; b</text></g>
 </g>
 <defs><clipPath id="p1"><path d="M 0 0"/></clipPath></defs>
</svg>"""


@pytest.fixture
def styles() -> SharedStyles:
    return SharedStyles()


@pytest.fixture
def drawing(styles) -> ET.Element:
    return ET.fromstring(inline(SVG, "name", styles))


def test_what_a_page_does_not_need_is_gone(drawing, styles):
    text = inline(SVG, "name", SharedStyles())
    for gone in ("metadata", "DOCTYPE", "xmlns", "xlink", "figure_1", "font-family", "rotate", "width", INK):
        assert gone not in text
    assert text.startswith('<svg viewBox="0 0 9 9"') and drawing.get("aria-hidden") == "true"
    assert not [path for path in drawing.iter("path") if path.get("d") == "M0 9L9 9z"], "a background"


def test_ids_are_short_and_references_follow(drawing):
    ids = {element.get("id") for element in drawing.iter() if element.get("id")}
    assert len(ids) == 2 and all(re.fullmatch(r"v[0-9a-f]{7}-\d", name) for name in ids)
    use = next(drawing.iter("use"))
    assert use.get("href").removeprefix("#") in ids
    clipped = next(group for group in drawing.iter("g") if group.get("clip-path"))
    assert clipped.get("clip-path")[5:-1] in ids
    other = ET.fromstring(inline(SVG, "other", SharedStyles()))
    assert not ids & {element.get("id") for element in other.iter()}


def test_numbers_are_short_and_text_is_kept(drawing):
    series = next(group for group in drawing.iter("g") if group.get("data-algorithm"))
    assert (series.get("data-algorithm"), series.get("class")) == ("a&b", "series")
    assert series.find("path").get("d") == "M1.23 -12.3L0 2"
    assert next(drawing.iter("text")).text == "a < b"


def test_equal_styles_share_a_class(drawing, styles):
    assert styles.rules() == ".v0{stroke: currentColor}\n.v1{font-size: 9px}\n"
    assert [e.get("class") for e in drawing.iter() if e.tag in ("use", "text")] == ["v0", "v1"]


def test_a_panel_needs_nothing_outside_itself(styles):
    figure = Figure("f", "F", [Panel("p", "alt", lambda ax: ax.plot([0, 1], [1, 2], "o-", gid="series-x"))])
    markup = figure.markup(figure.panels[0], styles)
    assert markup == figure.markup(figure.panels[0], SharedStyles())
    assert "http" not in markup and 'data-algorithm="x"' in markup
    ids = set(re.findall(r' id="([^"]+)"', markup))
    assert {
        name for name in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', markup) for name in name if name
    } <= ids


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
