"""Whatever the bytes: a film, or a typed error, at a bounded cost."""

import random
import resource
import struct
import subprocess
import sys
import traceback
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
)

from app.codecs.decoder import FilmDecoder
from app.codecs.limits import DecodeLimits
from app.domain.errors import ScreeningError, TooLargeError, UnreadableImageError
from tests.unit.codecs.samples import (
    chest,
    dataset_bytes,
    decode,
    encapsulated,
    file_bytes,
    film,
    grey_jpeg,
    grey_png,
    ihdr,
    pillow_bytes,
    png_of_chunks,
    zeros_deflated,
)

SMALL = film(64, 64)


def _rle(pixels: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> bytes:
    packed = bytes(imagecodecs.packbits_encode(pixels.tobytes()))
    return struct.pack("<16I", 1, 64, *([0] * 14)) + packed


SEEDS: dict[str, Callable[[], bytes]] = {
    "png": lambda: grey_png(SMALL),
    "png16": lambda: grey_png(film(64, 64, 16)),
    "jpeg": lambda: grey_jpeg(SMALL),
    "jpeg-progressive-colour": lambda: pillow_bytes(
        Image.fromarray(np.dstack([SMALL, SMALL[::-1], SMALL])), "JPEG", progressive=True
    ),
    "dicom-explicit": lambda: file_bytes(chest(SMALL, WindowCenter="90", WindowWidth="180")),
    "dicom-implicit": lambda: file_bytes(chest(film(64, 64, 12), 12), ImplicitVRLittleEndian),
    "dicom-deflated": lambda: file_bytes(chest(SMALL), DeflatedExplicitVRLittleEndian),
    "dicom-jpeg": lambda: encapsulated(chest(SMALL), grey_jpeg(SMALL), JPEGBaseline8Bit),
    "dicom-jpeg-ls": lambda: encapsulated(chest(SMALL), imagecodecs.jpegls_encode(SMALL), JPEGLSLossless),
    "dicom-jpeg-lossless": lambda: encapsulated(
        chest(SMALL), imagecodecs.jpeg8_encode(SMALL, lossless=True, predictor=1), "1.2.840.10008.1.2.4.70"
    ),
    "dicom-jpeg-2000": lambda: encapsulated(
        chest(SMALL), imagecodecs.jpeg2k_encode(SMALL, level=0, codecformat="J2K"), JPEG2000Lossless
    ),
    "dicom-htj2k": lambda: encapsulated(chest(SMALL), imagecodecs.htj2k_encode(SMALL), "1.2.840.10008.1.2.4.201"),
    "dicom-rle": lambda: encapsulated(chest(SMALL), _rle(SMALL), "1.2.840.10008.1.2.5"),
}


_LIBRARY_CALLS = ("imagecodecs.", "simplejpeg.", "isal_zlib")
_OWN_SIGNALS = ("_MalformedError", "error")  # the walker's own; struct.error and zlib.error, where they are caught
_TRANSLATED_ON_PURPOSE = ("dicom_elements.py", "dicom_file.py")


def _outcome(content: bytes) -> ScreeningError | None:
    """Decode; a failure must be typed, and one translated by the decoder must stem from a library, not from us."""
    failure: ScreeningError | None = None
    try:
        assert decode(content).pixels.ndim == 2
    except ScreeningError as error:
        failure = error
    if failure is not None and failure.__cause__ is not None:
        frames = traceback.extract_tb(failure.__cause__.__traceback__)
        deepest = [frame for frame in frames if "/app/codecs/" in frame.filename][-1]
        from_library = any(call in (deepest.line or "") for call in _LIBRARY_CALLS)
        signal = type(failure.__cause__).__name__ in _OWN_SIGNALS
        assert from_library or (signal and deepest.filename.endswith(_TRANSLATED_ON_PURPOSE)), (
            f"{deepest.filename}:{deepest.lineno}: {failure.__cause__!r}"
        )
    return failure


@pytest.mark.parametrize("name", SEEDS)
def test_the_seeds_themselves_are_read(name: str) -> None:
    assert _outcome(SEEDS[name]()) is None


@pytest.mark.parametrize("name", SEEDS)
def test_truncation_anywhere_is_a_typed_error_or_costs_no_pixels(name: str) -> None:
    content = SEEDS[name]()
    whole = decode(content).pixels

    for end in range(0, len(content), max(10, len(content) // 150 // 10 * 10)):
        if _outcome(content[:end]) is None:
            np.testing.assert_array_equal(decode(content[:end]).pixels, whole)


@pytest.mark.parametrize("name", SEEDS)
def test_random_damage_never_escapes_as_anything_but_a_typed_error(name: str) -> None:
    seed = SEEDS[name]()
    chance = random.Random(name)
    head = min(len(seed), 900)

    for _ in range(300):
        content = bytearray(seed)
        for _ in range(chance.choice((1, 1, 2, 5, 20))):
            at = chance.randrange(head if chance.random() < 0.6 else len(content))
            action = chance.random()
            if action < 0.6:
                content[at] = chance.choice((0, 0xFF, 0x7F, 0x80, chance.randrange(256)))
            elif action < 0.8:
                del content[at : at + chance.randrange(1, 9)]
            else:
                content[at:at] = chance.randbytes(chance.randrange(1, 9))
        _outcome(bytes(content))


def _nested(depth: int, undefined: bool) -> bytes:
    inner = Dataset()
    for _ in range(depth):
        outer = Dataset()
        outer.ContentSequence = [inner]
        outer["ContentSequence"].is_undefined_length = undefined
        inner.is_undefined_length_sequence_item = undefined
        inner = outer
    dataset = chest(SMALL)
    dataset.ContentSequence = inner.ContentSequence
    return file_bytes(dataset)


@pytest.mark.parametrize("undefined", [False, True])
def test_deeply_nested_sequences_are_too_large(undefined: bool) -> None:
    with pytest.raises(TooLargeError, match="nested"):
        decode(_nested(200, undefined))
    assert decode(_nested(10, undefined)).height == 64


def test_thousands_of_open_sequences_in_few_bytes_are_too_large() -> None:
    opened = b"\x40\x00\x30\xa7SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 100_000
    content = file_bytes(chest(SMALL))

    with pytest.raises(TooLargeError, match="nested"):
        decode(content[: len(content) - len(dataset_bytes(content))] + opened)


@pytest.mark.parametrize("length", [2**31, 2**32 - 2, 70_000])
def test_an_element_that_announces_more_than_there_is_is_unreadable(length: int) -> None:
    content = file_bytes(chest(SMALL))
    at = content.index(b"\xe0\x7f\x10\x00OB\x00\x00") + 8

    with pytest.raises(UnreadableImageError, match="announces"):
        decode(content[:at] + struct.pack("<I", length) + content[at + 4 :])


def _deflated_bomb() -> bytes:
    plain = file_bytes(chest(SMALL), DeflatedExplicitVRLittleEndian)
    start = len(plain) - len(dataset_bytes(plain))
    element = struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 1 << 30)
    deflater = zlib.compressobj(1, wbits=-15)
    parts = [deflater.compress(element)] + [deflater.compress(bytes(1 << 20)) for _ in range(400)]
    return plain[:start] + b"".join(parts) + deflater.flush()


def _jpeg_2000_bomb(side: int) -> bytes:
    stream = bytearray(imagecodecs.jpeg2k_encode(SMALL, level=0, codecformat="J2K"))
    struct.pack_into(">II", stream, 8, side, side)
    struct.pack_into(">II", stream, 24, side, side)
    return encapsulated(chest(SMALL, Rows=side, Columns=side), bytes(stream), JPEG2000Lossless)


def _precinct_bomb() -> bytes:
    """Every four pixels get a precinct of their own, at 2 KiB each."""
    stream = bytearray(imagecodecs.jpeg2k_encode(SMALL, level=0, codecformat="J2K"))
    struct.pack_into(">II", stream, 8, 2_000, 2_000)
    struct.pack_into(">II", stream, 24, 2_000, 2_000)
    coding = stream.index(b"\xff\x52")
    resolutions = stream[coding + 9] + 1
    stream[coding + 3] += resolutions
    stream[coding + 4] |= 1
    stream[coding + 14 : coding + 14] = b"\x11" * resolutions
    return encapsulated(chest(SMALL, Rows=2_000, Columns=2_000), bytes(stream), JPEG2000Lossless)


def _jpeg_bomb(side: int) -> bytes:
    content = bytearray(grey_jpeg(SMALL, progressive=True))
    struct.pack_into(">HH", content, content.index(b"\xff\xc2") + 5, side, side)
    return bytes(content)


BOMBS: dict[str, Callable[[], bytes]] = {
    "png-idat": lambda: png_of_chunks(ihdr(64, 64), (b"IDAT", zeros_deflated(400 << 20)), (b"IEND", b"")),
    "png-20000": lambda: png_of_chunks(ihdr(20_000, 20_000), (b"IDAT", zeros_deflated(400 << 20)), (b"IEND", b"")),
    "png-header": lambda: png_of_chunks(ihdr(2**31 - 1, 2**31 - 1, 16, 6), (b"IDAT", b""), (b"IEND", b"")),
    "png-9999-blank": lambda: png_of_chunks(ihdr(9_999, 9_999), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b"")),
    "jpeg-20000": lambda: _jpeg_bomb(20_000),
    "jpeg-9999": lambda: _jpeg_bomb(9_999),
    "dicom-deflated": _deflated_bomb,
    "dicom-jpeg-2000": lambda: _jpeg_2000_bomb(20_000),
    "dicom-jpeg-2000-9999": lambda: _jpeg_2000_bomb(9_999),
    "dicom-jpeg-2000-precincts": _precinct_bomb,
    "dicom-rows": lambda: file_bytes(chest(SMALL, Rows=65535, Columns=65535)),
    "dicom-rle": lambda: encapsulated(chest(SMALL, Rows=9_999, Columns=9_999), _rle(SMALL), "1.2.840.10008.1.2.5"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_at_bounded_memory(name: str, tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(BOMBS[name]())

    refused, grown_mib = _refused_in_its_own_process(tmp_path / "bomb")

    assert refused in ("TooLargeError", "UnreadableImageError")
    assert grown_mib < (320 if name == "dicom-deflated" else 60)


def _refused_in_its_own_process(path: Path) -> tuple[str, int]:
    """Return the error's name, and by how many MiB the process's peak memory grew."""
    script = (
        "import resource, sys\n"
        "from app.codecs.decoder import FilmDecoder\n"
        "from app.domain.errors import ScreeningError\n"
        "content = open(sys.argv[1], 'rb').read()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    FilmDecoder().decode(content)\n"
        "except ScreeningError as error:\n    print(type(error).__name__)\n"
        "else:\n    print('read')\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=True, timeout=50)
    refused, grown = done.stdout.split()
    return refused, int(grown)


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt", b"iTXt"])
def test_a_bomb_in_a_chunk_of_text_or_profile_is_never_inflated(kind: bytes) -> None:
    head = b"x\x00\x00" if kind != b"iTXt" else b"x\x00\x01\x00\x00\x00"
    content = grey_png(SMALL)
    bomb = png_of_chunks((kind, head + zeros_deflated(64 << 20)))[8:]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    read = decode(content[:33] + bomb + content[33:])

    np.testing.assert_array_equal(read.pixels, SMALL)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30 << 10


def test_metadata_beyond_its_limit_is_too_large() -> None:
    limits = DecodeLimits(max_metadata_bytes=1_000)
    content = grey_png(SMALL)
    text = png_of_chunks((b"tEXt", b"x" * 2_000))[8:]
    comment = b"\xff\xfe" + struct.pack(">H", 2_002) + b"x" * 2_000

    with pytest.raises(TooLargeError, match="metadata"):
        FilmDecoder(limits).decode(content[:33] + text + content[33:])
    with pytest.raises(TooLargeError, match="metadata"):
        FilmDecoder(limits).decode(b"\xff\xd8" + comment + grey_jpeg(SMALL)[2:])
    with pytest.raises(TooLargeError, match="metadata"):
        FilmDecoder(limits).decode(file_bytes(chest(SMALL, ImageComments="x" * 2_000)))


def test_threads_share_one_decoder_and_get_the_same_films() -> None:
    decoder, contents = FilmDecoder(), [seed() for seed in SEEDS.values()]
    alone = [decoder.decode(content) for content in contents]

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(decoder.decode, contents * 4))

    for index, film_read in enumerate(together):
        expected = alone[index % len(alone)]
        assert (film_read.provenance, film_read.flags) == (expected.provenance, expected.flags)
        np.testing.assert_array_equal(film_read.pixels, expected.pixels)
