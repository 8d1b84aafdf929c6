"""The stored values of the one frame of a DICOM image, whatever carries them (PS3.5 section 8, annexes A and G).

Of encapsulated pixel data the codestream itself says what it is; a transfer syntax that names another one is common
and harmless. Its own dimensions must be those of the header, and within limits, before a decoder sees it.
"""

from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from app.codecs.dicom_elements import Element
from app.codecs.dicom_header import DicomHeader, Tag
from app.codecs.jpeg2000_header import CODESTREAM_START, read_jpeg2000_header
from app.codecs.jpeg_markers import JpegHeader, read_jpeg_header
from app.codecs.limits import DecodeLimits
from app.codecs.luminance import chroma_is_coloured
from app.codecs.raster import decode_dct_luma
from app.codecs.reading_flags import ReadingFlag
from app.codecs.third_party_samples import stored_pixels
from app.domain.arrays import StoredPixels
from app.domain.errors import UnreadableImageError, UnsupportedFormatError

_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_JPEG_LS_PROCESS = 0xF7
_RLE_HEADER_BYTES = 64


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """The image pixel module (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    photometric_interpretation: str
    is_planar: bool

    @property
    def is_colour(self) -> bool:
        """Whether a pixel has three samples."""
        return self.samples == 3

    @classmethod
    def from_header(cls, header: DicomHeader) -> "FrameLayout":
        """Read and check the module.

        Raises
        ------
        UnreadableImageError
            If rows, columns or bits are missing or contradict each other.
        UnsupportedFormatError
            If the bits or the photometric interpretation are not read here.
        """
        photometric = header.code_string(Tag.PHOTOMETRIC_INTERPRETATION)
        if photometric is None:
            raise UnreadableImageError("(0028,0004) is missing: the polarity of the film is not known")
        allocated = header.word(Tag.BITS_ALLOCATED)
        stored = header.word(Tag.BITS_STORED, allocated)
        layout = cls(
            rows=header.word(Tag.ROWS),
            columns=header.word(Tag.COLUMNS),
            samples=header.word(Tag.SAMPLES_PER_PIXEL, 1),
            bits_allocated=allocated,
            bits_stored=stored,
            high_bit=header.word(Tag.HIGH_BIT, stored - 1 if stored else 0),
            is_signed=header.word(Tag.PIXEL_REPRESENTATION, 0) == 1,
            photometric_interpretation=photometric,
            is_planar=header.word(Tag.PLANAR_CONFIGURATION, 0) == 1,
        )
        if not layout.rows or not layout.columns:
            raise UnreadableImageError(f"image has {layout.rows} rows and {layout.columns} columns")
        if allocated not in (8, 16):
            raise UnsupportedFormatError(f"(0028,0100) is {allocated}; 8 or 16 expected")
        if not 1 <= stored <= allocated or not stored - 1 <= layout.high_bit < allocated:
            detail = f"(0028,0100..0102) are {allocated}, {stored}, {layout.high_bit}"
            raise UnreadableImageError(f"bits allocated, stored and high bit contradict each other: {detail}")
        grey = photometric in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
        colour = photometric in ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
        if (layout.samples, grey, colour) not in ((1, True, False), (3, False, True)):
            detail = f"(0028,0004) is {photometric} with {layout.samples} samples a pixel"
            raise UnsupportedFormatError(f"{detail}; MONOCHROME, PALETTE COLOR, RGB or YBR expected")
        return layout


@dataclass(frozen=True, slots=True)
class Frame:
    """Decoded samples.

    ``pixels`` is ``(H, W)`` bit patterns of ``bits_stored`` bits, two's complement where signed, or ``(H, W, 3)`` RGB,
    or, with ``is_luma``, the ``(H, W)`` luma of a colour image.
    """

    pixels: StoredPixels
    is_luma: bool = False
    flags: tuple[str, ...] = ()


def decode_frame(pixel_data: Element, layout: FrameLayout, compressed: bool, limits: DecodeLimits) -> Frame:
    """Return the frame's samples.

    Raises
    ------
    UnreadableImageError
        If there are fewer bytes than pixels, or the codestream contradicts the header.
    UnsupportedFormatError
        If the codestream is of a kind not read here.
    TooLargeError
        If the header promises more than the limits allow.
    """
    codestream: bytes | None = None
    if pixel_data.fragments is not None:
        codestream = b"".join(pixel_data.fragments[1:])  # the first item is the offset table
    elif compressed:
        codestream = bytes(pixel_data.value)
    carried_bytes = len(pixel_data.value) if codestream is None else len(codestream)
    limits.check_raster(layout.columns, layout.rows, layout.samples * layout.bits_allocated // 8, carried_bytes)
    if codestream is None:
        return _native(pixel_data, layout)
    if codestream.startswith(b"\xff\xd8\xff"):
        return _jpeg(codestream, layout, limits)
    if codestream.startswith(_JP2_SIGNATURE):
        codestream = codestream[max(codestream.find(CODESTREAM_START), 0) :]
    if codestream.startswith(b"\xff\x4f"):
        return _jpeg_2000(codestream, layout, limits)
    if len(codestream) > _RLE_HEADER_BYTES and codestream[4:8] == b"\x40\x00\x00\x00":
        return _run_length(codestream, layout)
    raise UnsupportedFormatError("encapsulated pixel data is neither JPEG, JPEG-LS, JPEG 2000 nor RLE")


def _native(pixel_data: Element, layout: FrameLayout) -> Frame:
    shape, subsampled = (layout.rows, layout.columns, layout.samples), False
    if layout.photometric_interpretation == "YBR_FULL_422":  # Y1 Y2 Cb Cr (PS3.3 C.7.6.3.1.2)
        if layout.columns % 2 or layout.bits_allocated != 8:
            raise UnsupportedFormatError("native YBR_FULL_422 needs an even number of columns and 8 bits")
        shape, subsampled = (layout.rows, layout.columns // 2, 4), True
    elif layout.is_colour and layout.is_planar:
        shape = (layout.samples, layout.rows, layout.columns)
    samples = shape[0] * shape[1] * shape[2]
    expected = samples * layout.bits_allocated // 8
    value = pixel_data.value
    swapped_bytes = layout.bits_allocated == 8 and not pixel_data.encoding.little_endian and pixel_data.vr == "OW"
    if len(value) < expected + (expected % 2 if swapped_bytes else 0):
        raise UnreadableImageError(f"pixel data has {len(value)} bytes, {expected} expected")
    if swapped_bytes:
        words = np.frombuffer(value, np.uint16, (expected + 1) // 2).byteswap()
        stored = words.view(np.uint8)[:samples].reshape(shape)
    else:
        kind = "u1" if layout.bits_allocated == 8 else pixel_data.encoding.order + "u2"
        stored = np.frombuffer(value, kind, samples).reshape(shape)
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    if subsampled:
        luma = np.ascontiguousarray(stored[..., :2]).reshape(layout.rows, layout.columns)
        return _luma_frame(luma, chroma_is_coloured(stored[..., 2:]))
    if layout.is_colour and layout.is_planar:
        stored = np.moveaxis(stored, 0, 2)
    return _frame(stored, layout, masked=True)


def _run_length(codestream: bytes, layout: FrameLayout) -> Frame:
    expected = layout.rows * layout.columns * layout.samples * layout.bits_allocated // 8
    kind = "u1" if layout.bits_allocated == 8 else "<u2"
    decoded = imagecodecs.dicomrle_decode(codestream, kind, out=bytearray(expected))
    if len(decoded) != expected:
        raise UnreadableImageError(f"RLE pixel data has {len(decoded)} bytes, {expected} expected")
    stored = np.frombuffer(decoded, kind).astype(kind.replace("<", "="), copy=False)
    planes = stored.reshape(layout.samples, layout.rows, layout.columns)
    return _frame(np.moveaxis(planes, 0, 2), layout, masked=True)


def _jpeg(codestream: bytes, layout: FrameLayout, limits: DecodeLimits) -> Frame:
    header = read_jpeg_header(codestream, limits)
    _check_agreement(layout, header.width, header.height, header.components, header.precision)
    if header.process == _JPEG_LS_PROCESS:
        # CharLS 2.4.3 (also in pyjpegls 1.5.1) can loop for some 20 s over a damaged scan of 1 KiB before it fails. It
        # has released the GIL and nothing ahead of decoding can tell, so a caller's deadline has to cover it.
        return _frame(imagecodecs.jpegls_decode(codestream), layout, masked=header.near == 0)
    if header.process == 0xC3:
        return _frame(imagecodecs.jpeg8_decode(codestream), layout, masked=True)
    if header.is_dct_8_bit:
        if layout.is_colour and not _is_unmarked_rgb(header, layout):
            luma, flags = decode_dct_luma(codestream, header)
            return Frame(luma, True, flags)
        if layout.is_colour:
            return _frame(imagecodecs.jpeg8_decode(codestream, colorspace="RGB", outcolorspace="RGB"), layout)
        grey, flags = decode_dct_luma(codestream, header)
        return Frame(_clipped(grey, layout), False, flags)
    if header.process == 0xC1 and header.precision == 12 and header.components == 1:
        return _frame(imagecodecs.jpeg8_decode(codestream), layout)
    raise UnsupportedFormatError(f"JPEG process 0x{header.process:02X} with {header.precision} bits is not read")


def _is_unmarked_rgb(header: JpegHeader, layout: FrameLayout) -> bool:
    """Libjpeg takes three components without JFIF or Adobe segment for YCbCr; here the DICOM header knows better."""
    return layout.photometric_interpretation == "RGB" and header.adobe_transform is None and not header.has_jfif


def _jpeg_2000(codestream: bytes, layout: FrameLayout, limits: DecodeLimits) -> Frame:
    header = read_jpeg2000_header(codestream, limits)
    _check_agreement(layout, header.width, header.height, header.components, header.precision)
    # OpenJPEG reads HTJ2K too, and fails on damage; imagecodecs.htj2k_decode (OpenJPH) reports damage as an unraisable
    # error and returns an array partly uninitialised, which could be the memory of another patient's film.
    return _frame(imagecodecs.jpeg2k_decode(codestream), layout)


def _check_agreement(layout: FrameLayout, width: int, height: int, components: int, precision: int) -> None:
    if (width, height, components) != (layout.columns, layout.rows, layout.samples):
        raise UnreadableImageError(
            f"codestream is {width} x {height} x {components}, "
            f"the header says {layout.columns} x {layout.rows} x {layout.samples}"
        )
    if precision > layout.bits_allocated:
        raise UnreadableImageError(f"codestream has {precision} bits, (0028,0100) is {layout.bits_allocated}")


def _frame(decoded: NDArray[Any], layout: FrameLayout, masked: bool = False) -> Frame:  # Any: checked inside
    """Check the shape, and reduce samples to the stored bits.

    Native and losslessly coded values may carry overlays or noise above the high bit: they are masked. Lossy codecs
    may overshoot: their values are clipped.
    """
    masked = masked or decoded.dtype.kind == "i"  # a signed codestream: its bit patterns count
    pixels = stored_pixels(decoded[..., 0] if decoded.ndim == 3 and decoded.shape[2] == 1 else decoded)
    expected = (layout.rows, layout.columns, 3) if layout.is_colour else (layout.rows, layout.columns)
    if pixels.shape != expected:
        raise UnreadableImageError(f"pixel data decodes to {pixels.shape}, {expected} expected")
    if layout.is_colour and layout.photometric_interpretation.startswith("YBR_FULL"):
        return _luma_frame(
            stored_pixels(np.ascontiguousarray(pixels[..., 0])), chroma_is_coloured(pixels[..., 1:].view(np.uint8))
        )
    if masked:
        shift = layout.high_bit + 1 - layout.bits_stored
        if shift:
            pixels = stored_pixels(pixels >> shift)
        if layout.bits_stored < 8 * pixels.dtype.itemsize:
            pixels = stored_pixels(pixels & pixels.dtype.type((1 << layout.bits_stored) - 1))
        return Frame(pixels)
    return Frame(_clipped(pixels, layout))


def _clipped(pixels: StoredPixels, layout: FrameLayout) -> StoredPixels:
    largest = (1 << layout.bits_stored) - 1
    if largest >= np.iinfo(pixels.dtype).max:
        return pixels
    return stored_pixels(np.minimum(pixels, pixels.dtype.type(largest)))


def _luma_frame(luma: StoredPixels, coloured: bool) -> Frame:
    return Frame(luma, True, (ReadingFlag.CONVERTED_FROM_COLOUR,) if coloured else ())
