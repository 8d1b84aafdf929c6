"""Objects that mean harm: bombs, deep nests, evil names, files that are two things at once (docs/faults.md, X14)."""

import io
import struct
import zipfile
import zlib
from typing import Any

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
)

from tests.integration.pacs.films import Film, dataset, film, uid
from tests.phantoms import dicom_bytes, png_bytes

_SERIES = "hostile"
_CR = "1.2.840.10008.5.1.4.1.1.1"


def element(tag: int, vr: str, value: bytes) -> bytes:
    """One data element, Explicit VR Little Endian."""
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr in {"OB", "OW", "SQ", "UN", "UT"}:
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def even(value: str, padding: bytes = b"\0") -> bytes:
    """A value padded to an even length."""
    coded = value.encode()
    return coded + padding * (len(coded) % 2)


def part_10(body: bytes, sop_instance_uid: str, syntax: str = ExplicitVRLittleEndian, sop_class: str = _CR) -> bytes:
    """A file of any data set bytes, valid or not."""
    meta = (
        element(0x00020001, "OB", b"\0\1")
        + element(0x00020002, "UI", even(sop_class))
        + element(0x00020003, "UI", even(sop_instance_uid))
        + element(0x00020010, "UI", even(syntax))
        + element(0x00020012, "UI", even("1.2.3"))
    )
    return bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(meta))) + meta + body


def _identity(sop_instance_uid: str, sop_class: str = _CR) -> bytes:
    """The elements every object needs, up to group 0020."""
    return (
        element(0x00080016, "UI", even(sop_class))
        + element(0x00080018, "UI", even(sop_instance_uid))
        + element(0x00080060, "CS", b"CR")
        + element(0x0020000D, "UI", even(str(uid(_SERIES, "study"))))
        + element(0x0020000E, "UI", even(str(uid(_SERIES, "series"))))
    )


def deflated_bomb(inflated_bytes: int = 1 << 30) -> bytes:
    """A megabyte that inflates to a gigabyte of zeros, behind a sound identity."""
    name = str(uid(_SERIES, "deflated"))
    head = _identity(name) + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, inflated_bytes)
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    start = deflater.compress(head) + deflater.flush(zlib.Z_FULL_FLUSH)
    # After a full flush every block stands alone: one of zeros, again and again.
    block = deflater.compress(bytes(1 << 20)) + deflater.flush(zlib.Z_FULL_FLUSH)
    parts = [start, block * (inflated_bytes >> 20), deflater.flush()]
    return part_10(b"".join(parts), name, DeflatedExplicitVRLittleEndian)


def nested(depth: int, name: str = "nested") -> bytes:
    """Sequences within sequences, of undefined length."""
    found = str(uid(_SERIES, name, depth))
    opened = struct.pack("<HH2sHI", 0x0040, 0x0275, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    closed = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return part_10(_identity(found) + opened * depth + closed * depth, found)


def jpeg2000_bomb() -> bytes:
    """A few hundred bytes of JPEG 2000 that announce 9,900 x 9,900 pixels, and a header that agrees."""
    name = uid(_SERIES, "jpeg2000")
    side = 9_900
    size = struct.pack(">HIIIIIIIIH", 0, side, side, 0, 0, side, side, 0, 0, 1) + b"\x0f\x01\x01"
    coding = b"\x00\x00\x00\x01\x00\x05\x04\x04\x00\x01"
    quantisation = b"\x40" + b"\x40" * 16
    codestream = (
        b"\xff\x4f\xff\x51" + struct.pack(">H", len(size) + 2) + size
        + b"\xff\x52" + struct.pack(">H", len(coding) + 2) + coding
        + b"\xff\x5c" + struct.pack(">H", len(quantisation) + 2) + quantisation
        + b"\xff\x90" + struct.pack(">HHIBB", 10, 0, 0, 0, 1) + b"\xff\x93" + bytes(16) + b"\xff\xd9"
    )  # fmt: skip
    made = dataset(1, series=_SERIES, SOPInstanceUID=name)
    made.file_meta.MediaStorageSOPInstanceUID = name
    made.Rows = made.Columns = side
    del made.PixelData
    plain = dicom_bytes(made)
    start = 144 + int.from_bytes(plain[140:144], "little")
    fragments = struct.pack("<HHI", 0xFFFE, 0xE000, 0) + struct.pack("<HHI", 0xFFFE, 0xE000, len(codestream))
    pixel_data = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + fragments + codestream
    body = plain[start:] + pixel_data + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return part_10(body, str(name), JPEG2000Lossless, str(made.SOPClassUID))


def boastful() -> bytes:
    """An element that says it has four gigabytes."""
    name = str(uid(_SERIES, "boastful"))
    return part_10(_identity(name) + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 0xFFFFFFF0) + bytes(64), name)


def many_elements(count: int = 300_000) -> bytes:
    """More elements than anything needs."""
    name = str(uid(_SERIES, "many"))
    pieces = [struct.pack("<HH2sH", 0x6001 + 2 * (index >> 16), index & 0xFFFF, b"SH", 0) for index in range(count)]
    return part_10(_identity(name) + b"".join(pieces), name)


def evil_uid(evil: str) -> bytes:
    """A film whose SOP Instance UID is something else."""
    return part_10(_identity(evil), "1.2.3.4")


def polyglots() -> dict[str, Film]:
    """Sound films whose preamble begins another kind of file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("evil.sh", "#!/bin/sh\n")
    openings: dict[str, bytes] = {
        "executable": b"MZ\x90\x00\x03",
        "script": b"#!/bin/sh\necho evil >&2\nexit 1\n",
        "tiff": b"II*\x00\x08\x00\x00\x00",
        "html": b"<html><script>alert(1)</script>",
        "png": png_bytes(_small())[:120],
    }
    found = {}
    for number, (kind, opening) in enumerate(openings.items(), 100):
        sound = film(number, series=_SERIES)
        content = opening.ljust(128, b"\0") + sound.content[128:]
        found[kind] = Film(number, sound.sop_instance_uid, sound.study_instance_uid, content)
    sound = film(110, series=_SERIES)
    found["zip"] = Film(110, sound.sop_instance_uid, sound.study_instance_uid, sound.content + buffer.getvalue())
    return found


def truncated(share: float = 0.5) -> bytes:
    """The beginning of a sound film."""
    sound = film(120, series=_SERIES).content
    return sound[: int(len(sound) * share)]


def _small() -> Any:
    """A few grey pixels."""
    return dataset(0, series=_SERIES).pixel_array.astype("uint8")


def refused_at_once() -> dict[str, bytes]:
    """What must never be acknowledged: it cannot even be told what it is."""
    return {
        "deflated bomb": deflated_bomb(),
        "nest of 5000": nested(5_000),
        "boastful element": boastful(),
        "300000 elements": many_elements(),
        "UID with a path": evil_uid("../../evil"),
        "UID with NUL and newline": evil_uid("1.2\n3"),
        "UID of 70 digits": evil_uid("1." + "2" * 70),
        "no UID": part_10(element(0x00080060, "CS", b"CR"), "1.2.3.4"),
        "not DICOM": b"GIF89a" + bytes(300),
        "nothing": b"",
    }
