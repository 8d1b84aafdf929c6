"""The picture of a result: the divergence over the film, both experts' maps beside it, words and a colour bar."""

import io
from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from app.domain.activation_map import positive_share
from app.domain.arrays import FloatMap
from app.domain.label_hierarchy import DISPLAY_NAMES
from app.domain.overlay import legend_bar
from app.domain.screening import ExpertFinding, drawn, told_apart
from app.pacs.own_objects import NOTICE
from app.services.hospital.records import Refusal, ResultContext
from app.services.rendering import Picture
from app.services.screening import Screening

_HEIGHT_PX, _MARGIN_PX, _BAR_PX = 768, 16, 16
_NARROWEST_PX, _SHORTEST_BAR_PX, _WIDEST_SHAPE = 1000, 560, 1.3
"""Words need their width beside a narrow film; a wider film is drawn less high."""
_BACKGROUND, _INK, _FAINT, _BOX = (14, 16, 20), (236, 238, 242), (166, 172, 182), (255, 255, 255)
_TITLE: Final = ImageFont.load_default(24)
_TEXT: Final = ImageFont.load_default(18)
_SMALL: Final = ImageFont.load_default(15)


def picture_of(screening: Screening, context: ResultContext) -> NDArray[np.uint8]:
    """Draw the answer.

    Returns
    -------
    ndarray
        ``(H, W, 3)`` uint8: left the film with the directed divergence and its boxes, right the two experts' maps,
        above what they say, below the colour bar with both ends named, the models' version and the disclaimer.
    """
    result, pictures = screening.result, screening.pictures
    divergence = result.divergence
    if divergence is None or pictures is None or not pictures.divergence:
        raise ValueError("a picture needs the overlays of both experts and of their divergence")
    experts = list(result.experts.values())
    main = _scaled(pictures.divergence[0], _HEIGHT_PX)
    _draw_boxes(main, screening)
    _say_nothing_drawn(main, divergence.maps[0].display, divergence.maps[0].flags)
    side_height = (_HEIGHT_PX - _MARGIN_PX - 2 * 26) // 2
    sides = [_scaled(pictures.experts[each.name], side_height) for each in experts]
    side_width = max(300, *(side.width for side in sides))
    width = max(_NARROWEST_PX, 3 * _MARGIN_PX + main.width + side_width)
    top = 150
    height = top + _HEIGHT_PX + 104
    canvas = Image.new("RGB", (width, height), _BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    title = f"Discern: what speaks for {_name(experts[0])} rather than for {_name(experts[1])}"
    draw.text((_MARGIN_PX, 14), title, _INK, font=_TITLE)
    for line, (text, colour) in enumerate(_statements(experts, screening)):
        draw.text((_MARGIN_PX, 50 + 23 * line), text, colour, font=_TEXT)
    canvas.paste(main, (_MARGIN_PX, top))
    at = top
    for side, expert in zip(sides, experts, strict=True):
        if expert.activation_map is not None:
            _say_nothing_drawn(side, positive_share(expert.activation_map), expert.flags)
        draw.text(
            (2 * _MARGIN_PX + main.width, at), f"{_name(expert)} expert: class activation map", _FAINT, font=_SMALL
        )
        canvas.paste(side, (2 * _MARGIN_PX + main.width, at + 22))
        at += 26 + side_height + _MARGIN_PX
    bar_top = top + _HEIGHT_PX + _MARGIN_PX
    options = screening.options
    bar_width = max(_SHORTEST_BAR_PX, main.width)
    bar = legend_bar(options.colormap, options.opacity, bar_width, _BAR_PX)
    canvas.paste(Image.fromarray(np.ascontiguousarray(bar)), (_MARGIN_PX, bar_top))
    first, second = (_name(each) for each in experts)
    alpha = divergence.maps[0].alpha
    draw.text((_MARGIN_PX, bar_top + 20), f"no more for {first} than for {second}", _FAINT, font=_SMALL)
    draw.text((_MARGIN_PX + bar_width, bar_top + 20), f"most for {first}", _INK, font=_SMALL, anchor="ra")
    draw.text(
        (_MARGIN_PX, bar_top + 44), f"{NOTICE}  Amplification {alpha:g}.  {context.model_version}", _FAINT, font=_SMALL
    )
    pixels: NDArray[np.uint8] = np.asarray(canvas)
    return pixels


def refusal_picture(refusal: Refusal, context: ResultContext) -> NDArray[np.uint8]:
    """Draw that there is no answer, and why: a failure must never look like a normal film."""
    canvas = Image.new("RGB", (900, 320), (74, 24, 20))
    draw = ImageDraw.Draw(canvas)
    draw.text((32, 32), "NOT ANALYSED", _INK, font=ImageFont.load_default(44))
    at = 100
    for line in _wrapped(f"{refusal.code}: {refusal.detail}", 84)[:5]:
        draw.text((32, at), line, _INK, font=_TEXT)
        at += 26
    draw.text((32, 240), "This film has no AI result. It says nothing about the patient.", _INK, font=_TEXT)
    draw.text((32, 276), f"{NOTICE}  {context.model_version}", (214, 190, 186), font=_SMALL)
    pixels: NDArray[np.uint8] = np.asarray(canvas)
    return pixels


def _statements(experts: Sequence[ExpertFinding], screening: Screening) -> list[tuple[str, tuple[int, int, int]]]:
    lines = []
    for each in experts:
        probability, threshold = told_apart(each.probability, each.operating_point.threshold)
        doubts = f" ({', '.join(each.doubts).replace('_', ' ')})" if each.doubts else ""
        lines.append((f"{_name(each)} expert: {each.decision}, {probability} (threshold {threshold}){doubts}", _INK))
    ensemble = screening.result.ensemble
    if ensemble is not None:
        likely = [each for each in ensemble.labels if each.evaluated]
        likely.sort(key=lambda each: -each.probability)
        named = ", ".join(
            f"{DISPLAY_NAMES.get(each.name, each.name)} {told_apart(each.probability)[0]}" for each in likely[:4]
        )
        lines.append((f"Ensemble: {named}", _FAINT))
    divergence = screening.result.divergence
    if divergence is not None and divergence.reason:
        lines.append((_ascii(divergence.reason), (255, 190, 110)))
    return lines


def _name(expert: ExpertFinding) -> str:
    return DISPLAY_NAMES.get(expert.name, expert.name)


def _draw_boxes(main: Image.Image, screening: Screening) -> None:
    divergence, film = screening.result.divergence, screening.result.film
    if divergence is None or not divergence.regions:
        return
    draw = ImageDraw.Draw(main)
    fx, fy = main.width / film.width, main.height / film.height
    taken: list[float] = []
    for region in divergence.regions[0]:
        x0, y0, x1, y1 = region.box
        draw.rectangle((x0 * fx, y0 * fy, x1 * fx - 1, y1 * fy - 1), outline=_BOX, width=2)
        words = ", ".join(filter(None, (region.zone, f"{region.share:.0%} of map")))
        at = max(0.0, y0 * fy - 20)
        while any(abs(at - other) < 20 for other in taken):
            at += 20
        taken.append(at)
        left = min(x0 * fx, main.width - draw.textlength(words, font=_SMALL) - 6)
        draw.rectangle((left, at, left + draw.textlength(words, font=_SMALL) + 6, at + 19), fill=(0, 0, 0))
        draw.text((left + 3, at + 1), words, _BOX, font=_SMALL)


def _scaled(picture: Picture, height: int) -> Image.Image:
    opened = Image.open(io.BytesIO(picture.png)).convert("RGB")
    scale = min(height / opened.height, _WIDEST_SHAPE * height / opened.width)
    size = (max(1, round(opened.width * scale)), max(1, round(opened.height * scale)))
    return opened.resize(size, Image.Resampling.BILINEAR)


def _say_nothing_drawn(picture: Image.Image, display: FloatMap, flags: Collection[str]) -> None:
    """Write on a picture whose map is not drawn that this is so: it must not look like a map that is cold."""
    if drawn(display, flags).any():
        return
    draw = ImageDraw.Draw(picture)
    words = "no evidence to draw"
    width = draw.textlength(words, font=_SMALL) + 12
    top = picture.height - 26
    draw.rectangle((4, top, 4 + width, top + 22), fill=(0, 0, 0))
    draw.text((10, top + 3), words, _BOX, font=_SMALL)


def _wrapped(text: str, columns: int) -> list[str]:
    lines, line = [], ""
    for word in _ascii(text).split():
        if line and len(line) + 1 + len(word) > columns:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line]


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()
