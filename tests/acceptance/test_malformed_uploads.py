"""Ten thousand broken uploads against a running service: never a 5xx but 503, memory bounded, service alive.

``FUZZ_FILMS`` may name a folder of real films; its files are mutated beside the synthetic ones.
"""

import os
import zlib
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.report import publish
from tests.benchmarks.serving import RunningService, running_service
from tests.phantoms import chest_film, dicom_bytes, dicom_dataset, jpeg_bytes, png_bytes
from tests.toy_models import write_release

pytestmark = [pytest.mark.acceptance, pytest.mark.slow, pytest.mark.timeout(3000)]
MUTATIONS = int(os.environ.get("FUZZ_UPLOADS", "10000"))
MEMORY_LIMIT_MIB = 1500.0
REAL_FILMS_AT_MOST = 60
REAL_BYTES_AT_MOST = 2_000_000


def seeds() -> list[bytes]:
    film = chest_film(256, 224, seed=3)
    found = [
        png_bytes(film),
        jpeg_bytes(film.astype(np.uint8)),
        dicom_bytes(dicom_dataset(film)),
        png_bytes(chest_film(256, 224, bits=16, seed=3)),
    ]
    folder = os.environ.get("FUZZ_FILMS")
    if folder:
        files = sorted(p for p in Path(folder).rglob("*") if p.suffix in {".dcm", ".jpg", ".png"})
        files = [p for p in files if p.stat().st_size <= REAL_BYTES_AT_MOST]
        step = max(1, len(files) // REAL_FILMS_AT_MOST)
        found += [p.read_bytes() for p in files[::step]]
    return found


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """Change, cut, repeat or insert a few bytes; header bytes are hit more often than their share."""
    data = bytearray(content)
    for _ in range(int(random.integers(1, 8))):
        if len(data) < 2:
            break
        reach = len(data) if random.random() < 0.5 else min(len(data), 512)
        at = int(random.integers(0, reach))
        kind = int(random.integers(0, 5))
        if kind == 0:
            data[at] = int(random.integers(0, 256))
        elif kind == 1:
            data[at : at + int(random.integers(1, 9))] = random.bytes(int(random.integers(1, 9)))
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            data[at:at] = data[max(0, at - 64) : at]
        else:
            data[at : at + 4] = b"\xff\xff\xff\xff"
    return bytes(data)


def post(service: RunningService, content: bytes, content_type: str = "application/octet-stream") -> int:
    connection = HTTPConnection("127.0.0.1", service.port, timeout=60)
    try:
        connection.request("POST", "/v1/screenings?include=maps", content, {"Content-Type": content_type})
        return connection.getresponse().status
    finally:
        connection.close()


def png_bomb(side: int) -> bytes:
    """A PNG that announces ``side`` squared black pixels in a few kilobytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes((8, 0, 0, 0, 0))
    compressor = zlib.compressobj(9)
    row = bytes(side + 1)
    body = b"".join(compressor.compress(row) for _ in range(side)) + compressor.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_no_upload_however_malformed_is_a_server_error(tmp_path: Path) -> None:
    random = np.random.default_rng(20261120)
    originals = seeds()
    statuses: Counter[int] = Counter()

    with running_service(write_release(tmp_path)) as service:
        memory_before = service.peak_memory_mib()
        for content in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", png_bomb(20_000), png_bomb(30_000)):
            statuses[post(service, content)] += 1
        for number in range(MUTATIONS):
            statuses[post(service, mutated(originals[number % len(originals)], random))] += 1
        alive = post(service, originals[0])
        memory_after = service.peak_memory_mib()

    publish(
        "malformed_uploads",
        {
            "uploads": sum(statuses.values()),
            "originals": len(originals),
            "statuses": dict(sorted(statuses.items())),
            "peak_memory_mib": [round(memory_before, 1), round(memory_after, 1)],
        },
    )
    assert alive == 200
    assert all(status < 500 or status == 503 for status in statuses), statuses
    assert memory_after < MEMORY_LIMIT_MIB
