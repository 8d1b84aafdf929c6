"""Plots of the unit square, read back from their own SVG."""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.codecs.plots import Line, Mark, unit_square

SVG = "{http://www.w3.org/2000/svg}"
SHARES = st.lists(st.floats(0, 1), min_size=2, max_size=9)


def drawn(*lines: Line, marks: tuple[Mark, ...] = (), title: str = "A plot") -> ET.Element:
    return ET.fromstring(unit_square(title, "across", "up", lines, marks))


def points(line: ET.Element) -> list[tuple[float, float]]:
    """Give a line's points in the unit of the frame around them."""
    pairs = (pair.split(",") for pair in line.attrib["points"].split())
    return [(float(x), float(y)) for x, y in pairs]


def frame(plot: ET.Element) -> tuple[float, float, float]:
    """Left, top and side of the unit square."""
    (found,) = (rect for rect in plot.iter(f"{SVG}rect") if rect.get("fill") == "none")
    assert found.attrib["width"] == found.attrib["height"]
    return float(found.attrib["x"]), float(found.attrib["y"]), float(found.attrib["width"])


@settings(max_examples=40, deadline=None)
@given(shares=SHARES)
def test_every_point_stands_where_its_numbers_say(shares: list[float]) -> None:
    plot = drawn(Line("a", shares, shares[::-1]))

    left, top, side = frame(plot)
    (line,) = plot.iter(f"{SVG}polyline")
    for (x, y), across, up in zip(points(line), shares, shares[::-1], strict=True):
        assert (x - left) / side == pytest.approx(across, abs=1e-4)
        assert (top + side - y) / side == pytest.approx(up, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(words=st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=80))
def test_any_words_can_be_a_name(words: str) -> None:
    plot = drawn(Line(words, [0, 1], [0, 1]), marks=(Mark(words, 0.5, 0.5),), title=words)

    assert plot.findtext(f"{SVG}title", "") == words
    texts = [element.text or "" for element in plot.iter(f"{SVG}text")]
    assert words in texts
    assert any(text == words or text.endswith("…") for text in texts)


def test_a_line_keeps_its_colour_from_plot_to_plot_and_no_two_look_alike() -> None:
    lines = [Line(str(k), [0, 1], [0, 1], colour=k) for k in range(14)]

    looks = {(line.get("stroke"), line.get("stroke-dasharray")) for line in drawn(*lines).iter(f"{SVG}polyline")}

    (alone,) = drawn(lines[9]).iter(f"{SVG}polyline")
    assert len(looks) == 14
    assert (alone.get("stroke"), alone.get("stroke-dasharray")) in looks


def test_dots_and_spans_stand_at_the_points() -> None:
    plot = drawn(Line("a", [0.25, 0.75], [0.5, 1.0], dots=True, spans=[(0.25, 0.75), (0.5, 1.0)]))

    left, top, side = frame(plot)
    dots = [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in plot.iter(f"{SVG}circle")]
    bars = [path.attrib["d"] for path in plot.iter(f"{SVG}path") if path.get("opacity")]
    assert dots == points(next(iter(plot.iter(f"{SVG}polyline"))))
    ends = [[float(number) for number in re.findall(r"[\d.]+", bar)] for bar in bars]
    assert ends == [
        [left + side / 4, top + side * 0.75, top + side / 4],
        [left + side * 0.75, top + side / 2, top],
    ]


def test_nothing_is_fetched_from_anywhere() -> None:
    text = unit_square("a", "b", "c", [Line("d", [0, 1], [0, 1])])

    assert re.findall(r"(?:href|url\(|src)", text) == []
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
