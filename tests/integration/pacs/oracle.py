"""What must hold whatever happened: acknowledged inputs are answered, each exactly once, and nothing is left behind.

Reads archives by QIDO-RS and WADO-RS with a client of its own, and objects with pydicom: no code under test is used.
"""

import hashlib
import io
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom import dcmread
from pydicom.dataset import Dataset

from tests.integration.pacs.films import CANARY
from tests.integration.pacs.orthanc import Orthanc

PAGE: Final = 500
SECONDARY_CAPTURE, COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.88.34"
NOT_ANALYSED = "not-analysed"
PICTURE, REGIONS, FINDINGS = "sc", "sr-regions", "sr-findings"


@dataclass(frozen=True, slots=True)
class Result:
    """One object of ours as an archive gave it back.

    Attributes
    ----------
    kind
        ``sc``, ``sr-regions``, ``sr-findings``, ``not-analysed``, or the SOP class of anything else.
    sources
        SOP Instance UIDs of the images that it says it was made from.
    dataset_sha256
        Of the object without its file meta information.
    """

    sop_instance_uid: str
    kind: str
    sources: frozenset[str]
    study_instance_uid: str
    patient: tuple[str, str, str]
    dataset_sha256: str
    dataset: Dataset


def instances(archive: Orthanc) -> Iterator[tuple[str, str, str]]:
    """Study, series and SOP Instance UID of everything in an archive, by QIDO-RS."""
    offset = 0
    while True:
        answer = archive.rest.get(
            "/dicom-web/instances",
            params={"limit": PAGE, "offset": offset},
            headers={"Accept": "application/dicom+json"},
        ).raise_for_status()
        found = answer.json() if answer.content else []
        for each in found:
            yield _value(each, "0020000D"), _value(each, "0020000E"), _value(each, "00080018")
        if len(found) < PAGE:
            return
        offset += PAGE


def retrieve(archive: Orthanc, study: str, series: str, instance: str) -> bytes:
    """One object as it is kept, by WADO-RS."""
    answer = archive.rest.get(
        f"/dicom-web/studies/{study}/series/{series}/instances/{instance}",
        headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'},
    ).raise_for_status()
    boundary = answer.headers["content-type"].partition("boundary=")[2].partition(";")[0].strip('" ').encode()
    part = answer.content.partition(b"\r\n\r\n")[2]
    return part[: part.rindex(b"\r\n--" + boundary)]


def results(archive: Orthanc, films: Collection[str] = ()) -> list[Result]:
    """Every object of an archive that is no film of the test's."""
    return [
        _result(retrieve(archive, study, series, instance))
        for study, series, instance in instances(archive)
        if instance not in films
    ]


def by_source(found: Iterable[Result]) -> dict[str, list[Result]]:
    """Results by the film they were made from; each names one."""
    sorted_out: dict[str, list[Result]] = defaultdict(list)
    for each in found:
        assert len(each.sources) == 1, f"{each.kind} names {len(each.sources)} films"
        (source,) = each.sources
        sorted_out[source].append(each)
    return dict(sorted_out)


def assert_answered_exactly_once(
    archive: Orthanc, acknowledged: Mapping[str, str | None], films: Collection[str] = ()
) -> list[Result]:
    """Hold that every acknowledged film has one answer in an archive, and nothing else has any.

    Parameters
    ----------
    archive
        Where results go.
    acknowledged
        SOP Instance UID to the code of the refusal it must get; None for films that are screened, ``*`` for either.
    films
        SOP Instance UIDs that are in the archive on other ways.

    Returns
    -------
    list of Result
        Everything that was found.
    """
    found = results(archive, films)
    answers = by_source(found)
    missing, surplus = acknowledged.keys() - answers.keys(), answers.keys() - acknowledged.keys()
    assert not missing, f"{len(missing)} of {len(acknowledged)} acknowledged films have no result"
    assert not surplus, f"{len(surplus)} results are of films that were never acknowledged"
    for source, objects in answers.items():
        kinds = Counter(each.kind for each in objects)
        twice = {kind: count for kind, count in kinds.items() if count > 1}
        assert not twice, f"one film has {twice}"
        expected = acknowledged[source]
        is_refused = NOT_ANALYSED in kinds
        assert is_refused != (FINDINGS in kinds), f"one film has {sorted(kinds)}"
        if expected != "*":
            assert is_refused == (expected is not None), f"a film that expects {expected} has {sorted(kinds)}"
    return found


def _result(content: bytes) -> Result:
    read = dcmread(io.BytesIO(content))
    return Result(
        sop_instance_uid=read.SOPInstanceUID,
        kind=kind_of(read),
        sources=frozenset(_sources(read)),
        study_instance_uid=read.StudyInstanceUID,
        patient=(str(read.get("PatientID", "")), str(read.get("PatientName", "")), str(read.get("PatientSex", ""))),
        dataset_sha256=dataset_sha256(content),
        dataset=read,
    )


def kind_of(read: Dataset) -> str:
    """Which of our objects it is, by what it holds."""
    if read.SOPClassUID == SECONDARY_CAPTURE:
        return PICTURE
    if not str(read.SOPClassUID).startswith("1.2.840.10008.5.1.4.1.1.88."):
        return str(read.SOPClassUID)
    items = list(content_items(read))
    if any(each.ValueType == "SCOORD" for each in items):
        return REGIONS
    return FINDINGS if any(each.ValueType == "NUM" for each in items) else NOT_ANALYSED


def content_items(of: Dataset) -> Iterator[Dataset]:
    """Every content item of a report."""
    for item in of.get("ContentSequence", ()):
        yield item
        yield from content_items(item)


def dataset_sha256(content: bytes) -> str:
    """Hash an object without its preamble and file meta information."""
    length = int.from_bytes(content[140:144], "little")
    return hashlib.sha256(content[144 + length :]).hexdigest()


def _sources(read: Dataset) -> Iterator[str]:
    for item in read.get("SourceImageSequence", ()):
        yield str(item.ReferencedSOPInstanceUID)
    for study in read.get("CurrentRequestedProcedureEvidenceSequence", ()):
        for series in study.ReferencedSeriesSequence:
            for item in series.ReferencedSOPSequence:
                yield str(item.ReferencedSOPInstanceUID)


def _value(element: Mapping[str, Any], tag: str) -> str:
    found: str = element[tag]["Value"][0]
    return found


# What is left behind.


def traces_of_patients(*folders: Path) -> list[str]:
    """Files below folders that name a drawn patient, in their names or in what they hold."""
    word = CANARY.encode()
    paths = ((folder, path) for folder in folders for path in sorted(folder.rglob("*")) if path.is_file())
    return [str(path.relative_to(folder)) for folder, path in paths if CANARY in path.name or word in path.read_bytes()]


def audit_records(folder: Path) -> list[dict[str, Any]]:
    """Every record of an audit trail, in order."""
    return [
        json.loads(line)
        for path in sorted(folder.glob("audit-*.jsonl"))
        for line in path.read_text("utf-8").splitlines()
    ]


def audit_counts(folder: Path) -> Counter[str]:
    """Records of an audit trail by event."""
    return Counter(each["event"] for each in audit_records(folder))


def audited_jobs(folder: Path, event: str) -> set[str]:
    """Names of the jobs that an event was recorded for."""
    return {each["who"]["job_id"] for each in audit_records(folder) if each["event"] == event}


def assert_audited(folder: Path, jobs: int, results_by_destination: Mapping[str, int]) -> None:
    """Hold that the trail has a receipt and an answer of every job, and a sending of every object, and is unbroken."""
    records = audit_records(folder)
    assert [each["n"] for each in records] == list(range(1, len(records) + 1)), "the trail has gaps"
    assert len(audited_jobs(folder, "received")) == jobs
    assert len(audited_jobs(folder, "created")) == jobs
    sent: dict[str, set[str]] = defaultdict(set)
    for each in records:
        if each["event"] == "sent":
            sent[each["who"]["destination"]].add(each["who"]["sop_instance_uid"])
    assert {name: len(found) for name, found in sent.items()} == dict(results_by_destination)
