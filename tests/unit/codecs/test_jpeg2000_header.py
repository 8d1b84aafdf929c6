"""The walk over a JPEG 2000 codestream agrees with what was encoded."""

import struct

import imagecodecs
import numpy as np
import pytest

from app.codecs.jpeg2000_header import Jpeg2000Header, read_jpeg2000_header
from app.codecs.limits import DecodeLimits
from app.domain.errors import TooLargeError, UnreadableImageError
from tests.unit.codecs.samples import film


def _codestream(bits: int = 12) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(film(bits=bits), level=0, codecformat="J2K", bitspersample=bits))


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_size_and_precision_are_those_encoded(bits: int) -> None:
    assert read_jpeg2000_header(_codestream(bits), DecodeLimits()) == Jpeg2000Header(120, 96, 1, bits)
    high_throughput = bytes(imagecodecs.htj2k_encode(np.dstack([film()] * 3)))
    assert read_jpeg2000_header(high_throughput, DecodeLimits()) == Jpeg2000Header(120, 96, 3, 8)


def test_every_truncation_is_noticed() -> None:
    content = _codestream()

    for end in range(len(content) - 2):
        with pytest.raises(UnreadableImageError):
            read_jpeg2000_header(content[:end], DecodeLimits())


def test_more_tiles_or_precincts_than_allowed_are_too_large() -> None:
    tiled = bytearray(_codestream())
    struct.pack_into(">II", tiled, 24, 1, 1)

    with pytest.raises(TooLargeError, match="11520 tiles"):
        read_jpeg2000_header(bytes(tiled), DecodeLimits())
    with pytest.raises(TooLargeError, match="precincts"):
        read_jpeg2000_header(_codestream(), DecodeLimits(max_precincts=1))
