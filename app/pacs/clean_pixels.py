"""Pixel data for export: the pixels, nothing in unused bits or behind the last one, boxes blanked on request."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID

from app.domain.errors import TooLargeError, UnreadableImageError, UnsupportedFormatError
from app.pacs.codestream import wiped

Box = tuple[int, int, int, int]
"""``(x0, y0, x1, y1)`` in pixels, x1 and y1 exclusive."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How pixels lie in memory (PS3.3 C.7.6.3, PS3.5 section 8)."""

    rows: int
    columns: int
    samples: int
    frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    planar: bool
    subsampled: bool

    @property
    def bytes(self) -> int:
        """Bytes of all frames, without padding."""
        samples = 2 if self.subsampled else self.samples
        return (self.rows * self.columns * samples * self.frames * self.bits_allocated + 7) // 8


def layout_of(header: Dataset, max_pixels: int) -> Layout:
    """Read the layout from a data set that has passed the table of what stays.

    Raises
    ------
    UnreadableImageError
        If it is incomplete or contradicts itself.
    TooLargeError
        If there are more pixels than allowed.
    """
    try:
        layout = Layout(
            rows=int(header.Rows),
            columns=int(header.Columns),
            samples=int(header.SamplesPerPixel),
            frames=int(header.get("NumberOfFrames") or 1),
            bits_allocated=int(header.BitsAllocated),
            bits_stored=int(header.BitsStored),
            high_bit=int(header.HighBit),
            signed=bool(header.PixelRepresentation),
            planar=bool(header.get("PlanarConfiguration", 0)),
            subsampled=header.PhotometricInterpretation == "YBR_FULL_422",
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise UnreadableImageError("the image pixel module is incomplete") from error
    if not header.PhotometricInterpretation:
        raise UnreadableImageError("(0028,0004) is no photometric interpretation")
    if layout.bits_allocated not in (1, 8, 16, 32) or layout.samples not in (1, 3) or layout.frames < 1:
        raise UnsupportedFormatError(
            f"{layout.samples} samples of {layout.bits_allocated} bits in {layout.frames} frames cannot be exported"
        )
    if not layout.bits_stored <= layout.high_bit + 1 <= layout.bits_allocated or layout.bits_stored < 1:
        raise UnreadableImageError("bits stored, high bit and bits allocated contradict each other")
    if layout.rows * layout.columns * layout.frames > max_pixels:
        raise TooLargeError(f"{layout.rows} x {layout.columns} x {layout.frames} pixels; {max_pixels} allowed")
    return layout


def native(content: bytes, layout: Layout, boxes: Sequence[Box]) -> bytes:
    """Cut off what follows the last pixel, clear the bits that no pixel uses, and blank boxes.

    Parameters
    ----------
    content
        Little endian, uncompressed.
    layout
        Of the pixels.
    boxes
        What is blanked, in every frame: filled with zeros.

    Raises
    ------
    UnreadableImageError
        If there are fewer bytes than pixels.
    UnsupportedFormatError
        If boxes of such pixels cannot be blanked.
    """
    if len(content) < layout.bytes:
        raise UnreadableImageError(f"pixel data has {len(content)} bytes; {layout.bytes} expected")
    content = content[: layout.bytes]
    if layout.bits_allocated >= 8:
        width = layout.bits_allocated // 8
        samples = np.frombuffer(content, f"<u{width}")
        low = layout.high_bit + 1 - layout.bits_stored
        if layout.bits_stored < layout.bits_allocated:
            samples = _used_bits(samples, layout, low)
        if boxes:
            samples = _blanked(samples, layout, boxes)
        content = samples.tobytes()
    elif boxes:
        raise UnsupportedFormatError("boxes of one-bit pixels cannot be blanked")
    return content + bytes(len(content) % 2)


def _used_bits(samples: NDArray[np.unsignedinteger], layout: Layout, low: int) -> NDArray[np.unsignedinteger]:
    """Clear unused bits; those above a signed value repeat its sign, so that it reads the same without a mask."""
    mask = samples.dtype.type((1 << layout.bits_stored) - 1 << low)
    used: NDArray[np.unsignedinteger] = samples & mask
    if not layout.signed:
        return used
    above = samples.dtype.type((1 << layout.bits_allocated) - (1 << layout.high_bit + 1))
    negative = samples & samples.dtype.type(1 << layout.high_bit) != 0
    extended: NDArray[np.unsignedinteger] = np.where(negative, used | above, used)
    return extended


def _blanked(samples: NDArray[np.unsignedinteger], layout: Layout, boxes: Sequence[Box]) -> NDArray[np.unsignedinteger]:
    if layout.subsampled:
        raise UnsupportedFormatError("boxes of subsampled colours cannot be blanked")
    if layout.planar and layout.samples == 3:
        shape, axes = (layout.frames, 3, layout.rows, layout.columns), (0, 1)
    else:
        shape, axes = (layout.frames, layout.rows, layout.columns, layout.samples), (0, 3)
    image = samples.reshape(shape).copy()
    plane = np.moveaxis(image, axes, (0, 1))  # frames and samples first: a view
    for x0, y0, x1, y1 in boxes:
        plane[:, :, max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = 0
    return image.reshape(-1)


def compressed(content: bytes, layout: Layout) -> bytes:
    """Encapsulate the frames of a JPEG family anew, each without comments, application data and trailing bytes.

    Raises
    ------
    UnsupportedFormatError
        If they are no codestreams.
    UnreadableImageError
        If there are not as many frames as announced, or they are malformed.
    """
    try:
        frames = list(generate_frames(content, number_of_frames=layout.frames))
    except Exception as error:  # pydicom raises whatever the bytes lead it to
        raise UnreadableImageError("the encapsulated pixel data is malformed") from error
    if len(frames) != layout.frames:
        raise UnreadableImageError(f"{len(frames)} compressed frames; {layout.frames} expected")
    return encapsulate([wiped(frame) for frame in frames])


def decompressed(content: bytes, transfer_syntax: UID, header: Dataset) -> bytes:
    """Decode encapsulated pixel data, and write into the header how it lies now.

    Parameters
    ----------
    content
        Encapsulated.
    transfer_syntax
        Of the content.
    header
        What is exported; its photometric interpretation and planar configuration change with the pixels.

    Raises
    ------
    UnsupportedFormatError
        If no decoder for it is installed.
    UnreadableImageError
        If it cannot be decoded.
    """
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = transfer_syntax
    image.update({element.tag: element for element in header if element.tag.group == 0x0028})
    image.add_new(0x7FE00010, "OB", content)
    image["PixelData"].is_undefined_length = True
    try:
        image.decompress(generate_instance_uid=False)
    except (RuntimeError, NotImplementedError) as error:
        raise UnsupportedFormatError("no decoder for this transfer syntax: export it uncompressed") from error
    except Exception as error:  # pydicom and its plugins raise whatever the bytes lead them to
        raise UnreadableImageError("the pixel data cannot be decoded") from error
    header.PhotometricInterpretation = image.PhotometricInterpretation
    if image.SamplesPerPixel > 1:
        header.PlanarConfiguration = image.PlanarConfiguration
    pixels: bytes = image.PixelData
    return pixels
