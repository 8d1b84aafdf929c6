"""Uploads that are not answered: each with its status, its code and a sentence; never a defect of the service."""

from collections.abc import Iterator

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.api.upload import FIELD
from tests.api.conftest import MAX_UPLOAD_BYTES
from tests.api.problems import assert_problem
from tests.api.test_screenings import PATH, answer, post
from tests.phantoms import chest_film, dicom_bytes, dicom_dataset, jpeg_bytes, png_bytes

PNG = png_bytes(chest_film(160, 128))
JPEG = jpeg_bytes(chest_film(160, 128).astype(np.uint8))
DICOM = dicom_bytes(dicom_dataset(chest_film(96, 80, bits=12), bits=12))
BOUNDARY = "b0undary"


def part(content: bytes, disposition: str = f'form-data; name="{FIELD}"; filename="film.png"') -> bytes:
    return f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code"),
    [
        pytest.param(b"", "image/png", 400, "unreadable_image", id="empty"),
        pytest.param(b"GIF89a" + bytes(100), "image/png", 415, "unsupported_format", id="GIF"),
        pytest.param(b"hello, world", "image/png", 415, "unsupported_format", id="text"),
        pytest.param(b"%PDF-1.7\n", "application/octet-stream", 415, "unsupported_format", id="PDF"),
        pytest.param(JPEG[: len(JPEG) // 2], "image/jpeg", 400, "unreadable_image", id="truncated JPEG"),
        pytest.param(PNG[: len(PNG) // 2], "image/png", 400, "unreadable_image", id="truncated PNG"),
        pytest.param(DICOM[: len(DICOM) // 2], "application/dicom", 400, "unreadable_image", id="truncated DICOM"),
        pytest.param(png_bytes(chest_film(40, 40)), "image/png", 422, "too_small", id="tiny"),
        pytest.param(png_bytes(np.full((128, 128), 99, np.uint8)), "image/png", 422, "low_contrast", id="blank"),
        pytest.param(png_bytes(np.zeros((4001, 100), np.uint8)), "image/png", 413, "too_large", id="a side too long"),
        pytest.param(png_bytes(np.zeros((2100, 2100), np.uint8)), "image/png", 413, "too_large", id="many pixels"),
    ],
)
def test_an_upload_that_cannot_be_answered_has_its_code(
    client: TestClient, content: bytes, media_type: str, status: int, code: str
) -> None:
    assert_problem(post(client, content, media_type), status, code)
    assert_problem(client.post(PATH, files={FIELD: ("film", content)}), status, code)


OVERRIDABLE = [
    pytest.param({"PresentationIntentType": "FOR PROCESSING"}, "for_processing", id="for processing"),
    pytest.param({"ViewPosition": "LL"}, "lateral_view", id="lateral"),
    pytest.param({"BodyPartExamined": "KNEE"}, "not_a_chest_radiograph", id="knee"),
    pytest.param({"Modality": "MG"}, "modality", id="mammogram"),
]


@pytest.mark.parametrize(("elements", "code"), OVERRIDABLE)
def test_a_film_that_says_it_is_no_frontal_chest_film_is_refused_unless_forced(
    client: TestClient, elements: dict[str, str], code: str
) -> None:
    content = dicom_bytes(dicom_dataset(chest_film(300, 280, bits=12), bits=12, elements=elements))

    assert_problem(post(client, content, "application/dicom"), 422, code)
    forced = answer(client, content, "application/dicom", force=True)

    assert "forced" in forced["flags"]
    assert any(code in flag for flag in forced["image"]["flags"])


def test_an_acceptable_film_says_forced_only_if_it_was(client: TestClient, film_png: bytes) -> None:
    assert answer(client, film_png)["flags"] == []
    assert answer(client, film_png, force=True)["flags"] == ["forced"]
    assert answer(client, film_png, force=True)["image"]["flags"] == []


@pytest.mark.parametrize("content", [b"", b"GIF89a", JPEG[:900], png_bytes(chest_film(40, 40))], ids=range(4))
def test_force_does_not_make_an_unreadable_upload_readable(client: TestClient, content: bytes) -> None:
    assert post(client, content, force=True).status_code in {400, 415, 422}


@pytest.mark.parametrize("media_type", ["text/html", "image/gif", "application/json", "multipart/mixed", ""])
def test_another_content_type_is_refused_with_the_accepted_ones(client: TestClient, media_type: str) -> None:
    detail = assert_problem(post(client, PNG, media_type), 415, "unsupported_format")

    assert "application/dicom" in detail


def test_a_missing_content_type_is_refused(client: TestClient) -> None:
    response = client.post(PATH, content=PNG)

    assert "missing" in assert_problem(response, 415, "unsupported_format")


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        pytest.param(part(PNG) + END, "multipart/form-data", id="no boundary"),
        pytest.param(part(PNG) + END, "multipart/form-data; boundary=", id="empty boundary"),
        pytest.param(part(PNG) + END, "multipart/form-data; boundary=other", id="other boundary"),
        pytest.param(part(PNG), MULTIPART, id="no end"),
        pytest.param(b"", MULTIPART, id="nothing"),
        pytest.param(END, MULTIPART, id="only the end"),
        pytest.param(part(PNG, 'form-data; name="film"; filename="a"') + END, MULTIPART, id="other name"),
        pytest.param(part(PNG, f'form-data; name="{FIELD}"') + END, MULTIPART, id="no file"),
        pytest.param(part(PNG, "form-data") + END, MULTIPART, id="no name"),
        pytest.param(part(PNG) + part(PNG) + END, MULTIPART, id="two files"),
        pytest.param(part(bytes(1 << 21), f'form-data; name="{FIELD}"') + END, MULTIPART, id="a field too long"),
        pytest.param(part(b"", 'form-data; name="a"') * 9 + part(PNG) + END, MULTIPART, id="too many fields"),
        pytest.param(part(PNG, "form-data; name*=undefined''x") + END, MULTIPART, id="encoded name"),
        pytest.param(part(b"x", 'form-data; name="\xff"') + END, MULTIPART + "; charset=undefined", id="no charset"),
        pytest.param(part(b"\xff", 'form-data; name="a"') + END, MULTIPART + "; charset=idna", id="charset idna"),
        pytest.param(part(b"\xff", 'form-data; name="a"') + END, MULTIPART + "; charset=hex", id="charset hex"),
    ],
)
def test_a_multipart_body_that_is_not_one_film_is_an_invalid_request(
    client: TestClient, body: bytes, media_type: str
) -> None:
    assert_problem(post(client, body, media_type), 400, "invalid_request")


def self_destructing() -> Iterator[bytes]:
    yield from (pytest.fail("the body was read") for _ in range(1))


def test_an_announced_size_over_the_limit_is_refused_before_it_arrives(client: TestClient) -> None:
    def unread() -> Iterator[bytes]:
        yield from self_destructing()

    response = client.post(
        PATH, content=unread(), headers={"Content-Type": "image/png", "Content-Length": str(MAX_UPLOAD_BYTES + 1)}
    )

    assert str(MAX_UPLOAD_BYTES) in assert_problem(response, 413, "too_large")


@pytest.mark.parametrize("multipart", [False, True], ids=["raw", "multipart"])
@pytest.mark.parametrize("announced", [False, True], ids=["streamed", "announced"])
def test_more_bytes_than_allowed_are_refused_however_they_come(
    client: TestClient, multipart: bool, announced: bool
) -> None:
    content = PNG + bytes(MAX_UPLOAD_BYTES + 1 - len(PNG))
    body = part(content) + END if multipart else content

    response = client.post(
        PATH,
        content=body if announced else iter([body[n : n + 100_000] for n in range(0, len(body), 100_000)]),
        headers={"Content-Type": MULTIPART if multipart else "image/png"},
    )

    assert_problem(response, 413, "too_large")


def test_a_film_of_exactly_the_limit_is_read(client: TestClient) -> None:
    content = DICOM + bytes(MAX_UPLOAD_BYTES - len(DICOM))

    assert post(client, content, "application/dicom").status_code != 413
    assert client.post(PATH, files={FIELD: ("a", content)}).status_code != 413


@pytest.mark.parametrize("length", ["²", "-1", "9" * 5000, "1e3"])
def test_a_content_length_that_is_no_number_does_no_harm(client: TestClient, length: str) -> None:
    headers = {b"content-type": b"image/png", b"content-length": length.encode("latin-1")}

    assert client.post(PATH, content=iter([PNG]), headers=headers).status_code in {200, 413}


def mutations(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Flip, cut, repeat and blank, reproducibly."""
    random = np.random.default_rng(seed)
    for number in range(count):
        changed = bytearray(content)
        kind = number % 4
        if kind == 0:
            for at in random.integers(0, len(changed), int(random.integers(1, 30))):
                changed[at] = int(random.integers(256))
        elif kind == 1:
            del changed[int(random.integers(0, len(changed))) :]
        elif kind == 2:  # the header alone
            for at in random.integers(0, min(400, len(changed)), int(random.integers(1, 6))):
                changed[at] = int(random.integers(256))
        else:
            start, length = int(random.integers(0, len(changed))), int(random.integers(1, 200))
            changed[start : start + length] = bytes(random.integers(0, 256, int(random.integers(0, 200)), np.uint8))
        yield bytes(changed)


@pytest.mark.parametrize(
    ("content", "media_type"),
    [(PNG, "image/png"), (JPEG, "image/jpeg"), (DICOM, "application/dicom")],
    ids=["png", "jpeg", "dicom"],
)
def test_no_upload_however_malformed_is_a_defect(client: TestClient, content: bytes, media_type: str) -> None:
    for number, changed in enumerate(mutations(content, 80, seed=len(content))):
        response = post(client, changed, media_type, include="maps", force=number % 2 == 0)

        assert response.status_code in {200, 400, 413, 415, 422}, (number, response.text)
        if response.status_code != 200:
            assert_problem(response, response.status_code, response.json()["code"])


def test_no_multipart_body_however_malformed_is_a_defect(client: TestClient) -> None:
    small = png_bytes(chest_film(70, 66))
    for number, changed in enumerate(mutations(part(small) + END, 60, seed=1)):
        response = post(client, changed, MULTIPART, include="")

        assert response.status_code in {200, 400, 413, 415, 422}, (number, response.text)
