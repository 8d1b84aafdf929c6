"""STOW-RS over a real spool and job table."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from app.api.multipart_related import related_parts
from app.bootstrap.hospital import HospitalSide, open_hospital
from app.domain.errors import InvalidRequestError, ScreeningError, TooLargeError, UnsupportedFormatError
from app.main import create_app
from app.settings import Settings
from tests.api.conftest import settings_with_spool
from tests.api.problems import assert_problem
from tests.integration.pacs import films

BOUNDARY = "a-boundary"
MULTIPART = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


def body_of(contents: Sequence[bytes], kind: str = "application/dicom") -> bytes:
    parts = [f"--{BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n".encode() + content + b"\r\n" for content in contents]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


@pytest.fixture
def settings(release: Path, tmp_path: Path) -> Settings:
    return settings_with_spool(release, tmp_path, max_bytes=4_000_000)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as made:
        yield made


@pytest.fixture
def side(settings: Settings) -> Iterator[HospitalSide]:
    with open_hospital(settings) as opened:
        yield opened


def store(client: TestClient, body: bytes, path: str = "/dicomweb/studies", **headers: str) -> Any:
    return client.post(path, content=body, headers={"Content-Type": MULTIPART} | headers)


def stored(answer: Any) -> list[str]:
    return [item["00081155"]["Value"][0] for item in answer.json().get("00081199", {"Value": []})["Value"]]


def test_every_object_that_is_named_as_stored_is_durable(client: TestClient, side: HospitalSide) -> None:
    sent = [films.film(number) for number in range(3)]

    answer = store(client, body_of([film.content for film in sent]))

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    assert stored(answer) == [film.sop_instance_uid for film in sent]
    kept = {side.spool.get(job.content_key) for job in side.table.jobs()}
    assert kept == {film.content for film in sent}


def test_a_single_object_may_be_the_whole_body(client: TestClient) -> None:
    film = films.film(1)

    answer = store(client, film.content, **{"Content-Type": "application/dicom"})

    assert stored(answer) == [film.sop_instance_uid]


def test_what_fails_is_named_beside_what_was_stored(client: TestClient) -> None:
    good, bad = films.film(1), b"\0" * 128 + b"DICM" + b"nonsense" * 10

    answer = store(client, body_of([good.content, bad]))

    assert answer.status_code == 202
    assert stored(answer) == [good.sop_instance_uid]
    (failure,) = answer.json()["0008119A"]["Value"]
    assert failure["00081197"]["Value"][0] >= 0xA700


def test_objects_of_another_study_are_refused_by_name(client: TestClient, side: HospitalSide) -> None:
    film = films.film(1)

    answer = store(client, body_of([film.content]), "/dicomweb/studies/1.2.3")

    assert answer.status_code == 409
    (failure,) = answer.json()["00081198"]["Value"]
    assert failure["00081155"]["Value"] == [film.sop_instance_uid]
    assert failure["00081197"]["Value"] == [0xA900]
    assert side.table.jobs() == []


def test_half_a_body_leaves_nothing_and_is_acknowledged_to_nobody(client: TestClient, side: HospitalSide) -> None:
    whole = body_of([films.film(1).content, films.film(2).content])

    answer = store(client, whole[: int(0.7 * len(whole))])

    assert_problem(answer, 400, "invalid_request")
    assert side.table.jobs() == []
    assert list(side.spool.entries()) == []


def test_a_full_spool_is_said_before_anything_is_acknowledged(client: TestClient, side: HospitalSide) -> None:
    answers = (store(client, body_of([films.film(number).content])) for number in range(200))
    taken = 0
    refused = next(answer for answer in answers if answer.status_code != 200 or not (taken := taken + 1))

    assert_problem(refused, 507, "storage_full")
    assert len(side.table.jobs(limit=1000)) == taken


def test_the_answer_is_xml_where_only_that_is_wanted(client: TestClient) -> None:
    film = films.film(1)

    answer = store(client, body_of([film.content]), Accept="application/dicom+xml")

    root = ET.fromstring(answer.content)
    assert root.tag == "NativeDicomModel"
    values = [value.text for value in root.iter("Value")]
    assert values == [film.sop_instance_uid]


def test_a_conflict_is_a_warning(client: TestClient) -> None:
    film = films.film(1)
    store(client, body_of([film.content]))

    answer = store(client, body_of([films.other_content(film).content]))

    (item,) = answer.json()["00081199"]["Value"]
    assert item["00081196"]["Value"] == [0xB007]


@pytest.mark.parametrize(
    ("content_type", "status", "code"),
    [
        ('multipart/related; type="application/dicom"', 400, "invalid_request"),
        (f'multipart/related; type="application/dicom+json"; boundary={BOUNDARY}', 415, "unsupported_format"),
        ("image/png", 415, "unsupported_format"),
        ("", 415, "unsupported_format"),
    ],
)
def test_other_bodies_are_refused(client: TestClient, content_type: str, status: int, code: str) -> None:
    answer = store(client, body_of([films.film(1).content]), **{"Content-Type": content_type})

    assert_problem(answer, status, code)


def test_parts_of_another_kind_are_refused(client: TestClient) -> None:
    answer = store(client, body_of([b"{}"], "application/dicom+json"))

    assert_problem(answer, 415, "unsupported_format")


async def pieces_of(body: bytes, size: int) -> Any:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read(body: bytes, size: int) -> list[bytes]:
    return await related_parts(pieces_of(body, size), MULTIPART, 1000, 8)


def run(body: bytes, size: int) -> list[bytes]:
    import asyncio

    return asyncio.run(read(body, size))


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.integers(1, 400))
def test_parts_come_back_as_they_were_however_the_body_is_cut(contents: list[bytes], size: int) -> None:
    contents = [content for content in contents if f"--{BOUNDARY}".encode() not in content]

    assert run(body_of(contents), size) == contents


@given(st.binary(max_size=600), st.integers(1, 100))
def test_nonsense_is_refused_in_our_own_words(body: bytes, size: int) -> None:
    with pytest.raises(ScreeningError) as refused:
        run(body, size)

    assert isinstance(refused.value, (InvalidRequestError, UnsupportedFormatError, TooLargeError))


def test_too_many_and_too_large_parts_are_refused() -> None:
    with pytest.raises(TooLargeError, match="8 parts"):
        run(body_of([b"x"] * 9), 100)
    with pytest.raises(TooLargeError, match="1000 bytes"):
        run(body_of([b"x" * 1001]), 100)
