"""Lines in the unit square as a self-contained SVG: ROC curves and reliability diagrams of a report."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

_SIDE_PX, _LEFT_PX, _TOP_PX, _BELOW_PX, _RIGHT_PX = 340, 54, 30, 46, 14
_LEGEND_PX: Final = 18
_LEGEND_LETTERS: Final = 52
_TICKS: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_STRONG: Final = "#111111"
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195")
"""Okabe and Ito's colours that show on white, and one more: told apart with any colour vision."""
_DASHES: Final = ("none", "6 3", "2 3", "8 3 2 3")


@dataclass(frozen=True, slots=True)
class Line:
    """A line and its name in the legend.

    Attributes
    ----------
    x, y
        Points in 0..1.
    colour
        Number of its colour, so that a line keeps it from one plot to the next; from the eighth on the line is dashed.
    strong
        Drawn black and thick, as the one to look at first.
    dots
        Marks its points.
    spans
        Low and high of each point, drawn as bars; empty for none.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0
    strong: bool = False
    dots: bool = False
    spans: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """A named place, drawn as a diamond."""

    name: str
    x: float
    y: float


def unit_square(title: str, x_label: str, y_label: str, lines: Sequence[Line], marks: Sequence[Mark] = ()) -> str:
    """Draw lines over the unit square with its diagonal.

    Parameters
    ----------
    title, x_label, y_label
        Words; any characters.
    lines
        The last is drawn on top; the legend keeps their order.
    marks
        Drawn above the lines, with their names beside them.

    Returns
    -------
    str
        An ``svg`` element without references to anything outside it.
    """
    width = _LEFT_PX + _SIDE_PX + _RIGHT_PX
    bottom = _TOP_PX + _SIDE_PX
    height = bottom + _BELOW_PX + _LEGEND_PX * len(lines)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="system-ui, sans-serif">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(_LEFT_PX, 17, title, weight="600", size=13),
        *_axes(x_label, y_label),
    ]
    for number, line in enumerate(lines):
        parts += _line(line)
        parts += _legend(line, bottom + _BELOW_PX + _LEGEND_PX * number)
    parts += [part for mark in marks for part in _mark(mark)]
    return "".join([*parts, "</svg>"])


def _across(value: float) -> float:
    return round(_LEFT_PX + _SIDE_PX * value, 2)


def _up(value: float) -> float:
    return round(_TOP_PX + _SIDE_PX * (1.0 - value), 2)


def _colour(line: Line) -> str:
    return _STRONG if line.strong else _COLOURS[line.colour % len(_COLOURS)]


def _stroke(line: Line) -> str:
    width, dashes = (2.2, "none") if line.strong else (1.4, _DASHES[line.colour // len(_COLOURS) % len(_DASHES)])
    return f'stroke="{_colour(line)}" stroke-width="{width}" stroke-dasharray="{dashes}"'


def _text(x: float, y: float, words: str, *, anchor: str = "start", weight: str = "400", size: int = 11) -> str:
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}" font-size="{size}"'
        f' fill="#222222" stroke="#ffffff" stroke-width="3" paint-order="stroke">{escape(words)}</text>'
    )


def _axes(x_label: str, y_label: str) -> Iterator[str]:
    low, high, middle = _up(0.0), _up(1.0), _up(0.5)
    for tick in _TICKS:
        across, up = _across(tick), _up(tick)
        yield f'<path d="M{across} {low}V{high}M{_across(0.0)} {up}H{_across(1.0)}" stroke="#e3e3e3"/>'
        yield _text(across, low + 15, f"{tick:.1f}", anchor="middle")
        yield _text(_LEFT_PX - 7, up + 4, f"{tick:.1f}", anchor="end")
    yield f'<path d="M{_across(0.0)} {low}L{_across(1.0)} {high}" stroke="#9a9a9a" stroke-dasharray="3 3"/>'
    yield f'<rect x="{_LEFT_PX}" y="{_TOP_PX}" width="{_SIDE_PX}" height="{_SIDE_PX}" fill="none" stroke="#555555"/>'
    yield _text(_across(0.5), low + 32, x_label, anchor="middle")
    yield f'<g transform="rotate(-90 14 {middle})">{_text(14, middle, y_label, anchor="middle")}</g>'


def _line(line: Line) -> Iterator[str]:
    colour = _colour(line)
    places = [(_across(x), _up(y)) for x, y in zip(line.x, line.y, strict=True)]
    path = " ".join(f"{x},{y}" for x, y in places)
    yield f'<polyline points="{path}" fill="none" {_stroke(line)}/>'
    for (x, _), (low, high) in zip(places, line.spans, strict=False):
        yield f'<path d="M{x} {_up(low)}V{_up(high)}" stroke="{colour}" stroke-width="1" opacity="0.55"/>'
    if line.dots:
        yield "".join(f'<circle cx="{x}" cy="{y}" r="2.6" fill="{colour}"/>' for x, y in places)


def _legend(line: Line, top: float) -> Iterator[str]:
    words = line.name if len(line.name) <= _LEGEND_LETTERS else f"{line.name[: _LEGEND_LETTERS - 1]}…"
    yield f'<path d="M{_LEFT_PX} {top + 5}h24" {_stroke(line)}/>'
    yield _text(_LEFT_PX + 31, top + 9, words)


def _mark(mark: Mark) -> Iterator[str]:
    x, y = _across(mark.x), _up(mark.y)
    yield f'<path d="M{x} {y - 5}l5 5l-5 5l-5 -5z" fill="#ffffff" stroke="{_STRONG}" stroke-width="1.6"/>'
    beside, anchor = (9, "start") if mark.x < 0.6 else (-9, "end")
    yield _text(x + beside, y + 13, mark.name, anchor=anchor)
