"""Intake over the real reader, spool and job table: what is acknowledged is durable, and nothing else is kept."""

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

from app.bootstrap import SystemClock
from app.codecs.decoder import FilmDecoder
from app.codecs.dicom_identity import DicomObjectReader
from app.codecs.limits import DecodeLimits
from app.domain.errors import IntakeRefusedError, ScreeningError, StorageFullError, StorageUnavailableError
from app.domain.jobs import ArrivalOutcome
from app.domain.source_image import SourceImage
from app.services.hospital.intake import IntakeService
from app.services.hospital.records import Arrival, Incoming, Job, Origin
from app.storage.database import Database
from app.storage.job_table import JobTable
from app.storage.spool import FileSpool
from tests.integration.pacs import films
from tests.phantoms import chest_film, png_bytes

C_STORE = Arrival(Origin.C_STORE, "MODALITY")


@dataclass
class Steps:
    """What was done, in order; and an audit trail of its own."""

    done: list[str] = field(default_factory=list)

    def record(self, event: str, *, outcome: str = "success", **participants: str) -> None:  # noqa: ARG002 - the port
        self.done.append(event)


@dataclass
class Parts:
    intake: IntakeService
    spool: FileSpool
    table: JobTable
    steps: Steps


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    steps = Steps()
    spool = FileSpool(tmp_path / "spool", 50_000_000, 0)
    table = JobTable(Database(f"sqlite:///{tmp_path / 'jobs.sqlite'}"), SystemClock())
    decoder = FilmDecoder()

    def same_film(one: bytes, other: bytes) -> bool:
        return bool(np.array_equal(decoder.decode(one).pixels, decoder.decode(other).pixels))

    def is_own(source: SourceImage) -> bool:
        return b"OURS" in source.header

    intake = IntakeService(DicomObjectReader(DecodeLimits(), b"key"), spool, table, steps, is_own, same_film)
    return Parts(intake, spool, table, steps)


def files(parts: Parts) -> list[bytes]:
    return sorted(parts.spool.get(key) for key, _, _ in parts.spool.entries())


def test_what_is_acknowledged_is_on_disk_as_it_came(parts: Parts) -> None:
    film = films.film(1)

    receipt = parts.intake.receive(film.content, C_STORE)

    assert receipt.outcome is ArrivalOutcome.ACCEPTED
    assert receipt.job_id is not None
    assert parts.spool.get(parts.table.job(receipt.job_id).content_key) == film.content
    assert parts.steps.done == ["received"]


def test_a_film_is_on_disk_before_the_job_table_hears_of_it(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    admit = parts.table.admit

    def watched(incoming: Incoming, arrival: Arrival) -> tuple[Job, ArrivalOutcome]:
        seen.append(parts.spool.holds(incoming.content_key))
        return admit(incoming, arrival)

    monkeypatch.setattr(parts.table, "admit", watched)
    parts.intake.receive(films.film(1).content, C_STORE)

    assert seen == [True]


def test_where_the_table_fails_nothing_is_acknowledged(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> None:
        raise StorageUnavailableError("the database failed: OperationalError")

    monkeypatch.setattr(parts.table, "admit", down)

    with pytest.raises(StorageUnavailableError):
        parts.intake.receive(films.film(1).content, C_STORE)

    assert parts.table.jobs() == []
    assert "received" not in parts.steps.done


def test_a_full_spool_refuses_before_the_table_hears_of_it(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: bytes) -> str:
        raise StorageFullError("no room")

    monkeypatch.setattr(parts.spool, "put", full)

    with pytest.raises(StorageFullError):
        parts.intake.receive(films.film(1).content, C_STORE)

    assert parts.table.jobs() == []


def test_the_same_film_with_other_file_meta_is_a_duplicate_and_kept_once(parts: Parts) -> None:
    film = films.film(1)
    parts.intake.receive(film.content, C_STORE)

    receipt = parts.intake.receive(films.resent(film), C_STORE)

    assert receipt.outcome is ArrivalOutcome.DUPLICATE
    assert files(parts) == [film.content]


def test_the_same_film_in_another_coding_is_a_duplicate(parts: Parts) -> None:
    first, *others = lossless_codings()
    parts.intake.receive(first, C_STORE)

    outcomes = {parts.intake.receive(other, C_STORE).outcome for other in others}

    assert outcomes == {ArrivalOutcome.DUPLICATE}
    assert not parts.table.jobs()[0].conflict
    assert files(parts) == [first]


def lossless_codings() -> list[bytes]:
    """One film with explicit and with implicit VRs, and run-length coded."""
    film = films.film(1).content
    made = [film]
    implicit = dcmread(io.BytesIO(film))
    buffer = io.BytesIO()
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    implicit.save_as(buffer, implicit_vr=True, little_endian=True, enforce_file_format=True)
    made.append(buffer.getvalue())
    compressed = dcmread(io.BytesIO(film))
    compressed.compress(RLELossless, generate_instance_uid=False)
    buffer = io.BytesIO()
    compressed.save_as(buffer, enforce_file_format=True)
    made.append(buffer.getvalue())
    return made


def test_other_pixels_under_the_same_uid_are_kept_and_flagged(parts: Parts) -> None:
    film = films.film(1)
    other = films.other_content(film)
    first = parts.intake.receive(film.content, C_STORE)

    second = parts.intake.receive(other.content, C_STORE)

    assert second.outcome is ArrivalOutcome.CONFLICT
    assert second.job_id == first.job_id
    assert files(parts) == sorted([film.content, other.content])


def test_results_of_ours_are_counted_and_dropped(parts: Parts) -> None:
    receipt = parts.intake.receive(films.film(1, Manufacturer="OURS").content, C_STORE)

    assert (receipt.outcome, receipt.job_id) == (ArrivalOutcome.OWN_RESULT, None)
    assert files(parts) == []
    assert parts.table.arrival_counts()[ArrivalOutcome.OWN_RESULT] == 1


def evil(film: films.Film) -> bytes:
    """A path where the SOP Instance UID should be, of the same length."""
    uid = film.sop_instance_uid.encode()
    return film.content.replace(uid, b"../../evil".ljust(len(uid), b"x"))


@pytest.mark.parametrize(
    ("content", "arrival", "code"),
    [
        (png_bytes(chest_film(96, 80)), C_STORE, "not_dicom"),
        (films.film(1).content, Arrival(Origin.C_STORE, "X", "1.2.3"), "uid_mismatch"),
        (evil(films.film(1)), C_STORE, "invalid_uid"),
        (films.film(1, SeriesInstanceUID=None).content, C_STORE, "missing_uid"),
        (b"\0" * 128 + b"DICM" + b"nonsense" * 20, C_STORE, "unreadable_image"),
    ],
)
def test_what_can_never_be_taken_leaves_nothing(parts: Parts, content: bytes, arrival: Arrival, code: str) -> None:
    with pytest.raises(ScreeningError) as refused:
        parts.intake.receive(content, arrival)

    assert refused.value.problem_code == code
    assert files(parts) == []
    assert parts.table.jobs() == []
    assert parts.steps.done == ["refused"]


def test_a_picture_may_be_uploaded(parts: Parts) -> None:
    receipt = parts.intake.receive(png_bytes(chest_film(96, 80)), Arrival(Origin.UPLOAD, "somebody"))

    assert receipt.outcome is ArrivalOutcome.ACCEPTED
    assert receipt.sop_instance_uid is None
    assert parts.table.jobs()[0].study_uid is None


def test_of_several_each_has_its_own_receipt_or_refusal(parts: Parts) -> None:
    film = films.film(1)

    good, bad = parts.intake.receive_all([film.content, films.film(4).content], C_STORE, film.study_instance_uid)

    assert getattr(good, "outcome", None) is ArrivalOutcome.ACCEPTED
    assert isinstance(getattr(bad, "error", None), IntakeRefusedError)
    assert getattr(bad, "sop_instance_uid", None) == films.film(4).sop_instance_uid
