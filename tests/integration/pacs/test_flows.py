"""From DICOM in to DICOM out, against a real Orthanc (docs/faults.md, F1 to F14)."""

import io
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.integration.pacs import certificates, films, oracle, senders, soundness
from tests.integration.pacs.hospital import Hospital, orthanc_source, store_destination, stow_destination
from tests.integration.pacs.network import Network
from tests.integration.pacs.orthanc import Orthanc

pytestmark = pytest.mark.integration

MakeHospital = Callable[..., Hospital]
StartOrthanc = Callable[..., Orthanc]


def test_f1_what_a_pacs_has_is_fetched_and_answered(start_orthanc: StartOrthanc, hospital: MakeHospital) -> None:
    source, archive = start_orthanc("source", aet="SOURCE"), start_orthanc("archive", aet="ARCHIVE")
    before, after = ([films.film(number) for number in numbers] for numbers in (range(3), range(3, 6)))
    for each in before:
        source.store(each.content)
    ours = hospital(sources=[orthanc_source(source)], destinations=[stow_destination(archive)]).start()
    for each in after:
        source.store(each.content)

    ours.wait_idle(6)

    found = oracle.assert_answered_exactly_once(
        archive, dict.fromkeys(each.sop_instance_uid for each in before + after)
    )
    by_uid = {each.sop_instance_uid: dcmread(io.BytesIO(each.content)) for each in before + after}
    for result in found:
        (of,) = result.sources
        film = by_uid[of]
        assert result.study_instance_uid == film.StudyInstanceUID
        assert result.patient[0] == film.PatientID
        assert result.patient[1].rstrip("^") == str(film.PatientName).rstrip("^")
        assert result.dataset.AccessionNumber == film.AccessionNumber
    oracle.assert_audited(ours.audit_folder, 6, {"archive": len(found)})


@pytest.mark.slow
def test_f1_a_pacs_that_only_speaks_dicomweb_is_swept(start_orthanc: StartOrthanc, hospital: MakeHospital) -> None:
    source, archive = start_orthanc("source", aet="SOURCE"), start_orthanc("archive", aet="ARCHIVE")
    kept = [films.film(number) for number in range(4)]
    for each in kept:
        source.store(each.content)
    swept = orthanc_source(source) | {"kind": "dicomweb", "url": source.dicom_web_url}
    swept.pop("dicomweb_url")

    ours = hospital(sources=[swept], destinations=[stow_destination(archive)]).start()
    ours.wait_idle(4)

    oracle.assert_answered_exactly_once(archive, dict.fromkeys(each.sop_instance_uid for each in kept))


@pytest.mark.slow
def test_f1_a_watched_folder_is_emptied(start_orthanc: StartOrthanc, hospital: MakeHospital, tmp_path: Path) -> None:
    archive = start_orthanc("archive", aet="ARCHIVE")
    folder = tmp_path / "watched"
    (folder / "ward").mkdir(parents=True)
    kept = [films.film(number) for number in range(3)]
    for each in kept:
        (folder / "ward" / f"{each.number}.dcm").write_bytes(each.content)
    watched = {"name": "folder", "kind": "folder", "folder": str(folder), "poll_s": 0.2, "still_s": 0.5}

    ours = hospital(sources=[watched], destinations=[stow_destination(archive)]).start()
    ours.wait_idle(3)

    oracle.assert_answered_exactly_once(archive, dict.fromkeys(each.sop_instance_uid for each in kept))
    assert not list(folder.rglob("*.dcm"))


@pytest.mark.parametrize(
    ("patients", "refusals", "findings"),
    [
        pytest.param(2, ("lateral_view",), 0, id="few"),
        pytest.param(
            len(films.NAMES), tuple(films.refusals()), 2, id="all", marks=[pytest.mark.slow, pytest.mark.timeout(1200)]
        ),
    ],
)
def test_f2_what_is_routed_to_us_is_answered_and_every_object_is_sound(
    start_orthanc: StartOrthanc,
    hospital: MakeHospital,
    patients: int,
    refusals: tuple[str, ...],
    findings: int,
) -> None:
    archive = start_orthanc("archive", aet="ARCHIVE")
    ours = hospital(destinations=[store_destination(archive)]).start()
    source = start_orthanc("source", aet="SOURCE", modalities={"discern": ("DISCERN", *ours.dicom)})
    refused = {code: film for code, film in films.refusals().items() if code in refusals}
    sent = [films.film(3 * patient) for patient in range(patients)]
    expected: dict[str, str | None] = dict.fromkeys(each.sop_instance_uid for each in sent)
    expected |= {each.sop_instance_uid: code for code, each in refused.items()}
    names = [source.store(each.content) for each in [*sent, *refused.values()]]

    answer = source.send(names, "discern")
    ours.wait_idle(len(expected))

    assert answer["FailedInstancesCount"] == 0
    found = oracle.assert_answered_exactly_once(archive, expected)  # F6
    assert soundness.problems(archive, found, findings) == []  # F11
    soundness.assert_survives_rendering(archive, found)  # F13
    soundness.assert_codes_mean_what_they_say(found)  # F14


def test_f3_what_is_stored_over_the_web_is_answered(start_orthanc: StartOrthanc, hospital: MakeHospital) -> None:
    archive = start_orthanc("archive", aet="ARCHIVE")
    ours = hospital(destinations=[stow_destination(archive)]).start(web=True)
    sent = [films.film(number) for number in range(5)]

    answer = ours.stow([each.content for each in sent])
    ours.wait_idle(5)

    assert answer.status_code == 200
    assert senders.stowed(answer) == ({each.sop_instance_uid for each in sent}, {})
    oracle.assert_answered_exactly_once(archive, dict.fromkeys(each.sop_instance_uid for each in sent))


@pytest.mark.slow
def test_f4_f5_twins_and_every_transfer_syntax_score_the_same(
    start_orthanc: StartOrthanc, hospital: MakeHospital, tmp_path: Path
) -> None:
    archive = start_orthanc("archive", aet="ARCHIVE")
    ours = hospital(destinations=[stow_destination(archive)]).start(web=True)
    second, first = films.monochrome_twins(7)
    coded = films.transfer_syntaxes(5, tmp_path)
    sent = [second, first, *(each for each, _ in coded.values())]

    statuses = ours.send(sent)
    ours.wait_idle(len(sent))

    assert set(statuses.values()) == {senders.SUCCESS}
    oracle.assert_answered_exactly_once(archive, dict.fromkeys(statuses))
    scores = {each["source_uid"]: each["probability"] for each in ours.jobs()}
    assert scores[second.sop_instance_uid] == scores[first.sop_instance_uid]
    plain = scores[coded["ExplicitVRLittleEndian/pydicom"][0].sop_instance_uid]
    for name, (film, lossless) in coded.items():
        assert scores[film.sop_instance_uid] == pytest.approx(plain, abs=0 if lossless else 0.02), name


@pytest.mark.slow
def test_f7_our_own_results_are_not_answered(start_orthanc: StartOrthanc, hospital: MakeHospital) -> None:
    both = start_orthanc("both", aet="BOTH")
    ours = hospital(sources=[orthanc_source(both)], destinations=[stow_destination(both)]).start()
    kept = [films.film(number) for number in range(3)]
    own = {each.sop_instance_uid for each in kept}
    for each in kept:
        both.store(each.content)
    ours.wait_idle(3)

    found = oracle.assert_answered_exactly_once(both, dict.fromkeys(own), own)
    returned = senders.c_store(ours.dicom, [soundness.kept(both, each) for each in found])
    time.sleep(5)  # several polls and sweeps

    assert set(returned) == {senders.SUCCESS}
    ours.wait_idle(3)
    again = oracle.assert_answered_exactly_once(both, dict.fromkeys(own), own)
    assert {each.sop_instance_uid: each.dataset_sha256 for each in again} == {
        each.sop_instance_uid: each.dataset_sha256 for each in found
    }


@pytest.mark.slow
def test_f8_only_who_shows_a_certificate_of_ours_is_listened_to(
    start_orthanc: StartOrthanc, hospital: MakeHospital, net: Network, tmp_path: Path
) -> None:
    archive = start_orthanc("archive", aet="ARCHIVE")
    good, bad = certificates.Authority(tmp_path / "good"), certificates.Authority(tmp_path / "bad")
    server = good.issue("discern", address=net.here)
    ours = hospital(
        destinations=[stow_destination(archive)],
        settings={
            "PACS__TLS_CERTIFICATE": str(server.certificate),
            "PACS__TLS_KEY": str(server.key),
            "PACS__TLS_CLIENT_CA": str(good.certificate),
        },
    ).start()
    sent = [films.film(number) for number in range(2)]

    accepted = ours.send(sent, tls=good.client("modality"))
    shown, stranger = good.issue("viewer"), bad.issue("modality")
    calls = {
        "good": senders.echoscu(
            ours.dicom, "+tls", str(shown.key), str(shown.certificate), "+cf", str(good.certificate)
        ),
        "stranger": senders.echoscu(
            ours.dicom, "+tls", str(stranger.key), str(stranger.certificate), "+cf", str(good.certificate)
        ),
        "none": senders.echoscu(ours.dicom, "+tla", "+cf", str(good.certificate)),
        "no TLS": senders.echoscu(ours.dicom),
    }
    ours.wait_idle(2)

    assert set(accepted.values()) == {senders.SUCCESS}
    assert calls == {"good": True, "stranger": False, "none": False, "no TLS": False}
    oracle.assert_answered_exactly_once(archive, dict.fromkeys(accepted))


@pytest.mark.slow
def test_f9_an_archive_commits_to_what_it_was_sent(start_orthanc: StartOrthanc, hospital: MakeHospital) -> None:
    ours: Hospital = hospital()
    archive = start_orthanc("archive", aet="ARCHIVE", modalities={"discern": ("DISCERN", *ours.dicom)})
    ours.pacs.settings["DESTINATIONS"] = [store_destination(archive, confirm="storage-commitment")]
    ours.start()
    sent = [films.film(number) for number in range(3)]

    statuses = ours.send(sent)
    summary = ours.wait_idle(3)

    assert set(statuses.values()) == {senders.SUCCESS}
    found = oracle.assert_answered_exactly_once(archive, dict.fromkeys(statuses))
    assert summary["deliveries"]["archive"]["confirmed"] == len(found)
