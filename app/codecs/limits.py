"""How much an upload may cost, checked from its header before anything is decoded."""

from dataclasses import dataclass

from app.domain.errors import ImageRefusedError, RefusalReason, TooLargeError

_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Bounds on one upload. A breach is a :class:`TooLargeError`, except ``min_side_px``, which is a refusal.

    Attributes
    ----------
    max_bytes
        Bytes as received.
    max_pixels, max_side_px
        Rows times columns, and the longer side.
    min_side_px
        The shorter side; below it there is nothing to see (``too_small``).
    max_decoded_bytes
        Samples of all channels, as the decoder lays them out. Decoding takes up to about five times this.
    max_expansion
        Decoded bytes for each compressed byte. DEFLATE cannot exceed 1032, a Huffman-coded JPEG 1536 (three 8-bit
        components, one bit a block), so only a forged header, or a blank picture, comes near it. Images that decode
        to ``unmeasured_expansion_bytes`` or less are not held to it.
    max_frames
        Frames a DICOM object may announce before it is called a bomb rather than a multi-frame image.
    max_nesting
        Depth of DICOM sequences.
    max_elements
        Data elements (DICOM), chunks (PNG) or marker segments (JPEG) walked over.
    max_inflated_bytes
        A deflated DICOM dataset, inflated.
    max_metadata_bytes
        What is not pixels: everything of a DICOM object but the pixel data, all PNG chunks but IDAT, all JPEG
        segments but scans.
    max_scans, max_scanned_pixels
        Scans of a progressive JPEG, and scans times pixels; each scan is a pass over every coefficient. Encoders write
        about ten.
    max_tiles, max_precincts
        Parts of a JPEG 2000 codestream; each has buffers of its own.
    """

    max_bytes: int = 64 * _MEBIBYTE
    max_pixels: int = 100_000_000
    max_side_px: int = 20_000
    min_side_px: int = 64
    max_decoded_bytes: int = 256 * _MEBIBYTE
    max_expansion: int = 2_000
    unmeasured_expansion_bytes: int = 32 * _MEBIBYTE
    max_frames: int = 10_000
    max_nesting: int = 32
    max_elements: int = 100_000
    max_inflated_bytes: int = 256 * _MEBIBYTE
    max_metadata_bytes: int = 32 * _MEBIBYTE
    max_scans: int = 64
    max_scanned_pixels: int = 1_000_000_000
    max_tiles: int = 4_096
    max_precincts: int = 200_000

    def check_content(self, size_bytes: int) -> None:
        """Refuse more bytes than ``max_bytes``."""
        if size_bytes > self.max_bytes:
            raise TooLargeError(f"upload has {size_bytes} bytes, {self.max_bytes} allowed")

    def check_raster(self, width: int, height: int, bytes_per_pixel: int, compressed_bytes: int) -> None:
        """Refuse a header's promise that would cost more than the limits allow, or that is too small to be a film.

        Parameters
        ----------
        width, height
            As the header declares them, in pixels.
        bytes_per_pixel
            Samples times their size, as decoded.
        compressed_bytes
            What carries the pixels.

        Raises
        ------
        TooLargeError
            If a side, the number of pixels, the decoded size or its ratio to the compressed size is over its limit.
            20000 x 20000 is over ``max_pixels``.
        ImageRefusedError
            If a side is below ``min_side_px``.
        """
        pixels, decoded_bytes = width * height, width * height * bytes_per_pixel
        if max(width, height) > self.max_side_px:
            raise TooLargeError(f"image is {width} x {height}, {self.max_side_px} pixels a side allowed")
        if pixels > self.max_pixels:
            raise TooLargeError(f"image is {width} x {height}, {self.max_pixels} pixels allowed")
        if decoded_bytes > self.max_decoded_bytes:
            raise TooLargeError(f"image decodes to {decoded_bytes} bytes, {self.max_decoded_bytes} allowed")
        if decoded_bytes > self.unmeasured_expansion_bytes and decoded_bytes > self.max_expansion * compressed_bytes:
            raise TooLargeError(f"{compressed_bytes} bytes announce {decoded_bytes} bytes of pixels")
        if min(width, height) < self.min_side_px:
            detail = f"image is {width} x {height}, at least {self.min_side_px} pixels a side expected"
            raise ImageRefusedError(RefusalReason.TOO_SMALL, detail)

    def check_scans(self, scans: int, pixels: int) -> None:
        """Refuse more scans, or more work for them, than a progressive JPEG needs."""
        if scans > self.max_scans or scans * pixels > self.max_scanned_pixels:
            raise TooLargeError(f"JPEG has {scans} scans or more of {pixels} pixels")

    def check_elements(self, count: int, what: str) -> None:
        """Refuse more than ``max_elements`` structural parts."""
        if count > self.max_elements:
            raise TooLargeError(f"more than {self.max_elements} {what}")

    def check_nesting(self, depth: int) -> None:
        """Refuse sequences nested deeper than ``max_nesting``."""
        if depth > self.max_nesting:
            raise TooLargeError(f"sequences are nested deeper than {self.max_nesting}")

    def check_metadata(self, size_bytes: int) -> None:
        """Refuse more than ``max_metadata_bytes`` beside the pixels."""
        if size_bytes > self.max_metadata_bytes:
            raise TooLargeError(f"{size_bytes} bytes of metadata, {self.max_metadata_bytes} allowed")
