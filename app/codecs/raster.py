"""PNG and JPEG to upright grey pixels."""

from typing import Any

import imagecodecs
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from app.codecs.jpeg_markers import JpegHeader, read_jpeg_header
from app.codecs.limits import DecodeLimits
from app.codecs.luminance import is_coloured, luminance
from app.codecs.png_reader import decode_png
from app.codecs.reading_flags import ReadingFlag
from app.codecs.third_party_samples import stored_pixels
from app.domain.arrays import StoredPixels
from app.domain.errors import UnreadableImageError, UnsupportedFormatError

# Damage that decoders repair without losing pixels: padding before a marker, and a sequential scan that states
# progressive parameters. Every other warning, above all a premature end, means pixels are missing.
_HARMLESS_WARNINGS = ("extraneous bytes before marker", "Invalid SOS parameters for sequential JPEG")


def read_png(content: bytes, limits: DecodeLimits) -> tuple[StoredPixels, tuple[str, ...]]:
    """Return the upright grey pixels of a PNG, and flags; see :func:`app.codecs.png_reader.decode_png`."""
    pixels, orientation, flags = decode_png(content, limits)
    return _turned(pixels, orientation, flags)


def read_jpeg(content: bytes, limits: DecodeLimits) -> tuple[StoredPixels, tuple[str, ...]]:
    """Return the upright grey pixels of a JPEG, and flags.

    Baseline, extended and progressive images of 8 bits are decoded to their luma directly. Grey images of more bits
    (12-bit extended, lossless) are scaled to 16. Colour profiles are ignored; the Exif orientation is applied.

    Raises
    ------
    UnreadableImageError
        If the codestream is malformed or truncated.
    UnsupportedFormatError
        If the process (arithmetic, hierarchical, JPEG-LS), precision or colour space is not read here.
    TooLargeError
        If header, segments or scans exceed the limits.
    """
    header = read_jpeg_header(content, limits)
    bytes_per_pixel = header.components * (1 if header.precision <= 8 else 2)
    limits.check_raster(header.width, header.height, bytes_per_pixel, len(content))
    pixels: StoredPixels
    flags: tuple[str, ...] = ()
    if header.is_dct_8_bit:
        pixels, flags = decode_dct_luma(content, header)
    else:
        if header.process not in (0xC1, 0xC3) or header.components != 1 or not 2 <= header.precision <= 16:
            raise UnsupportedFormatError(
                f"JPEG process 0x{header.process:02X} with {header.precision} bits and {header.components} components"
            )
        pixels = _widened(stored_pixels(imagecodecs.jpeg8_decode(content)), header.precision)
    _check_shape(pixels, header)
    return _turned(pixels, header.exif_orientation, flags)


def decode_dct_luma(content: bytes, header: JpegHeader) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return the luma of a JPEG for which ``header.is_dct_8_bit``, and flags.

    Whether a three-component image really is coloured is told from its eighth-scale decode, which needs only the DC
    coefficients' inverse transform.

    Raises
    ------
    UnsupportedFormatError
        If there are two components, or four without the Adobe segment that says whether they are inverted: a film read
        with the wrong polarity is worse than one not read.
    """
    if header.components == 4:
        return _decode_cmyk_luma(content, header)
    if header.components == 1:
        return _decode(content, "GRAY")
    if header.components != 3:
        raise UnsupportedFormatError(f"JPEG has {header.components} components; 1, 3 or 4 expected")
    pixels, flags = _decode(content, "GRAY")
    thumbnail = simplejpeg.decode_jpeg(content, "RGB", min_factor=8, strict=False)
    if is_coloured(thumbnail):
        flags += (ReadingFlag.CONVERTED_FROM_COLOUR,)
    return pixels, flags


def _decode(content: bytes, colour_space: str) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    flags: tuple[str, ...] = ()
    try:
        decoded = simplejpeg.decode_jpeg(content, colour_space)
    except ValueError as error:
        if not any(warning in str(error) for warning in _HARMLESS_WARNINGS):
            raise
        decoded = simplejpeg.decode_jpeg(content, colour_space, strict=False)
        flags = (ReadingFlag.JPEG_IRREGULAR,)
    return (decoded[..., 0] if decoded.shape[2] == 1 else decoded), flags


def _decode_cmyk_luma(content: bytes, header: JpegHeader) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Adobe writes CMYK and YCCK inverted: 255 is no ink, so a channel's light is its value times that of black."""
    if header.adobe_transform is None:
        raise UnsupportedFormatError("JPEG has four components and no Adobe segment to say whether they are inverted")
    decoded, flags = _decode(content, "CMYK")
    black = decoded[..., 3:].astype(np.uint16)
    rgb = ((decoded[..., :3] * black + 127) // 255).astype(np.uint8)
    pixels, coloured = luminance(rgb)
    if coloured:
        flags += (ReadingFlag.CONVERTED_FROM_COLOUR,)
    return np.asarray(pixels, np.uint8), flags


def _widened(stored: StoredPixels, precision: int) -> StoredPixels:
    """Scale ``precision`` bits to the whole range of the dtype they need."""
    target = np.uint8 if precision <= 8 else np.uint16
    largest, white = (1 << precision) - 1, int(np.iinfo(target).max)
    if largest == white:
        return stored_pixels(stored.astype(target))
    scale = (np.arange(largest + 1, dtype=np.uint32) * white + largest // 2) // largest
    return stored_pixels(scale.astype(target)[np.minimum(stored, largest)])


def _check_shape(pixels: StoredPixels, header: JpegHeader) -> None:
    if pixels.shape != (header.height, header.width):
        raise UnreadableImageError(f"JPEG decodes to {pixels.shape}, its header says {header.height} x {header.width}")


def _turned(pixels: StoredPixels, orientation: int, flags: tuple[str, ...]) -> tuple[StoredPixels, tuple[str, ...]]:
    if orientation == 1:
        return pixels, flags
    return upright(pixels, orientation), (*flags, ReadingFlag.ORIENTATION_APPLIED)


def upright(pixels: StoredPixels, orientation: int) -> StoredPixels:
    """Apply an Exif orientation, 1 to 8 (Exif 2.32, 4.6.4, tag 0x0112)."""
    turned: NDArray[Any] = pixels.T if orientation >= 5 else pixels
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    return stored_pixels(np.ascontiguousarray(turned))
