"""An overlay as a figure for people: caption above, the picture, and the colour bar with its two ends named."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from app.codecs.png import encode_png
from app.domain.arrays import RgbImage
from app.domain.overlay import Colormap, legend_bar
from app.domain.screening import NOTICE

_MARGIN_PX, _BAR_PX, _MIN_WIDTH_PX = 12, 14, 420
_BACKGROUND, _INK, _FAINT = (16, 18, 22), (232, 234, 238), (160, 166, 176)


@dataclass(frozen=True, slots=True)
class Caption:
    """Words of a figure: what it shows, and what the cold and the hot end of the bar mean."""

    title: str
    cold: str
    hot: str


def captioned(picture: RgbImage, caption: Caption, colormap: Colormap, opacity: float) -> bytes:
    """Put a picture between its caption and its colour bar.

    Parameters
    ----------
    picture
        ``(H, W, 3)`` uint8, unchanged and unscaled in the figure.
    caption
        Its words.
    colormap, opacity
        As the picture was drawn.

    Returns
    -------
    bytes
        PNG, wider and higher than the picture.
    """
    height, width = picture.shape[:2]
    text, small = ImageFont.load_default(15), ImageFont.load_default(12)
    total_width = max(width, _MIN_WIDTH_PX) + 2 * _MARGIN_PX
    top = 2 * _MARGIN_PX + 18
    total_height = top + height + 3 * _MARGIN_PX + _BAR_PX + 40
    figure = Image.new("RGB", (total_width, total_height), _BACKGROUND)
    draw = ImageDraw.Draw(figure)
    draw.text((_MARGIN_PX, _MARGIN_PX), caption.title, _INK, font=text)
    figure.paste(Image.fromarray(np.ascontiguousarray(picture)), ((total_width - width) // 2, top))
    bar_top = top + height + _MARGIN_PX
    bar = legend_bar(colormap, opacity, total_width - 2 * _MARGIN_PX, _BAR_PX)
    figure.paste(Image.fromarray(np.ascontiguousarray(bar)), (_MARGIN_PX, bar_top))
    words_top = bar_top + _BAR_PX + 4
    draw.text((_MARGIN_PX, words_top), caption.cold, _FAINT, font=small)
    draw.text((total_width - _MARGIN_PX, words_top), caption.hot, _INK, font=small, anchor="ra")
    draw.text((_MARGIN_PX, words_top + 20), NOTICE, _FAINT, font=small)
    return encode_png(np.asarray(figure))
