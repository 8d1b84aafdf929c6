"""What type an upload is, by its content; names and declared types are not consulted."""

import re
from enum import StrEnum

from app.domain.errors import UnreadableImageError, UnsupportedFormatError


class ImageFormat(StrEnum):
    """The formats that are read; the value is ``Provenance.format``."""

    PNG = "png"
    JPEG = "jpeg"
    DICOM = "dicom"

    @property
    def media_type(self) -> str:
        """The registered media type."""
        return "application/dicom" if self is ImageFormat.DICOM else f"image/{self.value}"


PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8\xff"
_PREAMBLE_BYTES = 128

# First bytes of what people upload by mistake; the name is told to them.
_FOREIGN_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "BigTIFF"),
    (b"MM\x00+", "BigTIFF"),
    (b"BM", "BMP"),
    (b"%PDF", "PDF"),
    (b"PK\x03\x04", "ZIP archive"),
    (b"PK\x05\x06", "ZIP archive"),
    (b"\x1f\x8b", "gzip archive"),
    (b"BZh", "bzip2 archive"),
    (b"\xfd7zXZ\x00", "xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip archive"),
    (b"Rar!\x1a\x07", "RAR archive"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000 codestream"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL codestream"),
    (b"8BPS", "Photoshop"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"\x93NUMPY", "NumPy array"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"\x5c\x01\x00\x00", "NIfTI"),
    (b"MZ", "Windows program"),
    (b"\x7fELF", "ELF program"),
    (b"P5", "PGM"),
    (b"P6", "PPM"),
    (b"{", "JSON"),
)
_MARKUP = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(\?xml|!doctype\s+html|html|svg|!--|head|body)", re.IGNORECASE)
_EXPLICIT_VRS = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)


def sniff(content: bytes) -> ImageFormat:
    """Return the format of an upload.

    A DICOM file is recognised by ``DICM`` after its preamble, or, where preamble and file meta information are
    missing, by a plausible first data element of group 0002 or 0008 in either byte order. The preamble may hold a TIFF
    header (PS3.10 7.1 provides for that), but not the beginning of another image or a program.

    Raises
    ------
    UnreadableImageError
        If there are no bytes.
    UnsupportedFormatError
        If the content is of another type, named where it is known, or two types at once.
    """
    if not content:
        raise UnreadableImageError("the upload is empty")
    foreign = _foreign_name(content)
    if content[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] == b"DICM":
        if foreign not in (None, "TIFF", "BigTIFF") or content.startswith((PNG_SIGNATURE, JPEG_START)):
            raise UnsupportedFormatError(f"the DICOM preamble holds another file ({foreign or 'an image'})")
        return ImageFormat.DICOM
    if content.startswith(PNG_SIGNATURE):
        return ImageFormat.PNG
    if content.startswith(JPEG_START):
        return ImageFormat.JPEG
    if foreign is None and (content.startswith(b"DICM") or starts_with_data_element(content)):
        return ImageFormat.DICOM
    found = foreign or "unknown"
    raise UnsupportedFormatError(f"content is {found}; PNG, JPEG or DICOM expected")


def media_type_agrees(declared: str | None, found: ImageFormat) -> bool:
    """Tell whether a ``Content-Type`` names the format that was found; the content wins where it does not.

    Absent, generic (``application/octet-stream``) and multipart types say nothing and so agree.
    """
    media_type = (declared or "").split(";", 1)[0].strip().lower()
    if media_type in ("", "application/octet-stream", "binary/octet-stream") or media_type.startswith("multipart/"):
        return True
    aliases = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
    aliases |= {
        "image/apng": "image/png",
        "image/dicom": "application/dicom",
        "application/x-dicom": "application/dicom",
    }
    return aliases.get(media_type, media_type) == found.media_type


def starts_with_data_element(content: bytes) -> bool:
    """Tell whether the bytes begin like a DICOM dataset without preamble (group 0002 or 0008, either byte order)."""
    if len(content) < 16:
        return False
    for order in ("little", "big"):
        group, element = (int.from_bytes(content[at : at + 2], order) for at in (0, 2))
        if group not in (0x0002, 0x0008) or element > 0x2000:
            continue
        if content[4:6] in _EXPLICIT_VRS:
            return True
        if int.from_bytes(content[4:8], order) <= min(len(content) - 8, 4096):
            return True
    return False


def _foreign_name(content: bytes) -> str | None:
    for signature, name in _FOREIGN_SIGNATURES:
        if content.startswith(signature):
            return name
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WebP"
    if content[4:8] == b"ftyp":
        return f"ISO media ({content[8:12].decode('latin-1')})"
    markup = _MARKUP.match(content[:512])
    if markup:
        return "SVG" if b"<svg" in content[:4096].lower() else "HTML or XML"
    return None
