"""A changed configuration is an event; what is kept of it says nothing."""

from pathlib import Path
from typing import Any

import pytest

from app.bootstrap.configuration import fingerprints, note_configuration
from app.domain.errors import StorageFullError
from app.settings import Settings

KEY = b"k" * 32
ALL = ("listener", "destinations", "sources", "worklist", "audit", "fhir")
ARCHIVE = {"name": "archive", "kind": "stow", "url": "https://pacs.example/dicom-web", "user": "us", "password": "1234"}


class Trail:
    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.full = False

    def record(self, event: str, *, outcome: str = "success", **participants: str) -> None:
        if self.full:
            raise StorageFullError("no room for the audit trail")
        assert (event, outcome, participants["user"]) == ("configured", "success", "discern")
        self.reasons.append(participants["reason"])


def settings(**changes: Any) -> Settings:
    return Settings.model_validate({"destinations": [ARCHIVE]} | changes)


def test_the_first_start_is_recorded_and_the_same_again_is_not(tmp_path: Path) -> None:
    trail = Trail()

    first = note_configuration(settings(), trail, tmp_path, KEY, {"work", "listen"})
    second = note_configuration(settings(), trail, tmp_path, KEY, {"listen", "work"})

    assert (first, second) == (ALL, ())
    assert trail.reasons == [", ".join(ALL)]


def test_processes_with_other_roles_have_a_configuration_of_their_own(tmp_path: Path) -> None:
    trail = Trail()
    note_configuration(settings(), trail, tmp_path, KEY, {"work"})
    note_configuration(settings(destinations=[]), trail, tmp_path, KEY, {"listen"})

    assert note_configuration(settings(), trail, tmp_path, KEY, {"work"}) == ()
    assert note_configuration(settings(destinations=[]), trail, tmp_path, KEY, {"listen"}) == ()


def test_only_what_changed_is_named(tmp_path: Path) -> None:
    trail = Trail()
    note_configuration(settings(), trail, tmp_path, KEY, {"work"})
    moved = settings(destinations=[ARCHIVE | {"url": "https://other.example/"}], pacs={"port": 104})

    assert note_configuration(moved, trail, tmp_path, KEY, {"work"}) == ("listener", "destinations")


def test_a_renewed_certificate_is_a_change_and_another_password_or_private_key_is_none(tmp_path: Path) -> None:
    certificate, key = tmp_path / "ours.pem", tmp_path / "ours.key"
    certificate.write_text("one")
    key.write_text("one")
    tls = {"tls_certificate": certificate, "tls_key": key}
    before = fingerprints(settings(pacs=tls), KEY)

    key.write_text("two")
    same = fingerprints(settings(pacs=tls, destinations=[ARCHIVE | {"password": "5678"}]), KEY)
    certificate.write_text("two")
    renewed = fingerprints(settings(pacs=tls), KEY)

    assert same == before
    assert {part for part in ALL if renewed[part] != before[part]} == {"listener"}


def test_what_is_kept_cannot_be_tested_without_the_key(tmp_path: Path) -> None:
    note_configuration(settings(), Trail(), tmp_path, KEY, {"work"})
    (kept,) = tmp_path.iterdir()

    assert "archive" not in kept.read_text()
    assert "1234" not in kept.read_text()
    assert not set(fingerprints(settings(), KEY).values()) & set(fingerprints(settings(), b"o" * 32).values())


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_damaged_file_is_a_change(tmp_path: Path, content: str) -> None:
    note_configuration(settings(), Trail(), tmp_path, KEY, {"work"})
    (kept,) = tmp_path.iterdir()
    kept.write_text(content)

    assert note_configuration(settings(), Trail(), tmp_path, KEY, {"work"}) == ALL


def test_a_change_that_could_not_be_recorded_is_recorded_at_the_next_start(tmp_path: Path) -> None:
    trail = Trail()
    trail.full = True
    with pytest.raises(StorageFullError):
        note_configuration(settings(), trail, tmp_path, KEY, {"work"})
    trail.full = False

    assert note_configuration(settings(), trail, tmp_path, KEY, {"work"}) == ALL
