import base64
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from pydicom.sr.codedict import codes

from app.pacs.audit_message import audit_message
from app.services.hospital import audit_terms
from app.services.hospital.audit_terms import Term, described
from app.services.hospital.auditing import EVENTS, AuditRecord
from tests.unit.pacs.audit_records import AT, RECORDS, SOURCE, WHO

SCHEMA = Path(__file__).with_name("audit_message.rnc")


def parsed(record: AuditRecord) -> ET.Element:
    return ET.fromstring(audit_message(described(record, SOURCE)))


def of(event: str) -> ET.Element:
    return parsed(next(record for record in RECORDS if record.event == event))


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("jing") is None, reason="jing is not installed")
def test_every_message_is_valid_by_the_schema(tmp_path: Path) -> None:
    for record in RECORDS:
        (tmp_path / f"{record.number}.xml").write_bytes(audit_message(described(record, SOURCE)))
    (tmp_path / "wrong.xml").write_bytes(
        (tmp_path / "1.xml").read_bytes().replace(b"EventOutcomeIndicator", b"EventOutcome")
    )

    def said(*files: Path) -> tuple[int, str]:
        done = subprocess.run(
            ["jing", "-c", str(SCHEMA), *map(str, files)], capture_output=True, text=True, timeout=120, check=False
        )
        return done.returncode, done.stdout

    assert said(*(tmp_path / f"{record.number}.xml" for record in RECORDS)) == (0, "")
    assert said(tmp_path / "wrong.xml")[0] != 0, "the schema refuses nothing"


def test_children_come_in_the_standards_order() -> None:
    order = ["EventIdentification", "ActiveParticipant", "AuditSourceIdentification", "ParticipantObjectIdentification"]
    for record in RECORDS:
        names = [child.tag for child in parsed(record)]
        assert names == sorted(names, key=order.index)
        assert set(order[:3]) <= set(names)
        assert names.count("AuditSourceIdentification") == 1


def test_codes_are_those_of_the_dictionary() -> None:
    dictionary = {code.value: code.meaning for name in codes.DCM.dir() for code in [getattr(codes.DCM, name)]}
    terms = [value for value in vars(audit_terms).values() if isinstance(value, Term) and value.scheme == "DCM"]

    assert len(terms) > 15
    assert {term.code: term.meaning for term in terms} == {term.code: dictionary[term.code] for term in terms}


def test_every_event_has_a_message_of_its_own() -> None:
    assert {record.event for record in RECORDS} == EVENTS == set(WHO)
    kinds = {
        (
            root.find("EventIdentification/EventID").attrib["csd-code"],  # type: ignore[union-attr]  # always there
            root[0].attrib["EventActionCode"],
            root[0].attrib["EventOutcomeIndicator"],
            tuple(kind.attrib["csd-code"] for kind in root.iterfind("EventIdentification/EventTypeCode")),
            tuple(
                (who.attrib["UserID"] == SOURCE.process_id, *(role.attrib["csd-code"] for role in who))
                for who in root.iterfind("ActiveParticipant")
            ),
        )
        for root in map(of, sorted(EVENTS))
    }
    assert len(kinds) == len(EVENTS)


def test_what_was_received_says_who_sent_it_which_study_and_whose_by_key_only() -> None:
    root = of("received")

    actors = {who.attrib["UserID"]: who for who in root.iterfind("ActiveParticipant")}
    assert actors["MODALITY"].attrib["UserIsRequestor"] == "true"
    assert actors["MODALITY"].attrib["NetworkAccessPointTypeCode"] == "2"
    assert actors["42"].attrib["AlternativeUserID"] == "AETITLES=CXRAI"
    objects = {
        about[0].attrib["csd-code"]: about.attrib["ParticipantObjectID"]
        for about in root.iterfind("ParticipantObjectIdentification")
    }
    assert objects == {"110180": "1.2.3", "patient-key": "ab12", "job": "j1"}
    assert root.find(".//Instance").attrib == {"UID": "1.2.3.4"}  # type: ignore[union-attr]  # always there
    assert root[0].attrib["EventDateTime"] == "2026-11-25T12:00:00.123Z"


@pytest.mark.parametrize(("event", "code"), [("refused", "110104"), ("association_refused", "110113")])
def test_a_refusal_is_never_a_success_and_says_why(event: str, code: str) -> None:
    root = of(event)

    assert root[0].attrib["EventOutcomeIndicator"] == "4"
    assert root.findtext("EventIdentification/EventOutcomeDescription") == WHO[event]["reason"]
    assert root.find("EventIdentification/EventID").attrib["csd-code"] == code  # type: ignore[union-attr]  # always there


def test_a_caller_that_was_turned_away_is_named_by_its_title_and_its_address() -> None:
    caller, _ = of("association_refused").findall("ActiveParticipant")

    assert (caller.attrib["UserID"], caller.attrib["NetworkAccessPointID"]) == ("STRANGER", "fe80::1")


def test_a_record_that_stands_for_several_says_how_many() -> None:
    root = parsed(next(record for record in RECORDS if record.number == 96))

    assert root.findtext("EventIdentification/EventOutcomeDescription") == "r (7 times)"


def test_a_refused_object_that_could_not_be_read_is_a_transfer_of_an_unknown_study() -> None:
    (study,) = of("refused").findall("ParticipantObjectIdentification")

    assert study.attrib["ParticipantObjectID"] == "unknown"


def test_a_query_is_carried_as_base64() -> None:
    query = of("queried").findtext(".//ParticipantObjectQuery")

    assert base64.b64decode(query or "").decode() == WHO["queried"]["query"]


def test_what_xml_cannot_carry_is_replaced() -> None:
    root = parsed(next(record for record in RECORDS if record.number == 93))

    assert root.find("ActiveParticipant").attrib["UserID"] == '<&"\ufffd\ufffd\ufffdé\ufffd'  # type: ignore[union-attr]


def test_what_is_no_event_has_no_message() -> None:
    with pytest.raises(ValueError, match="no audit event"):
        described(AuditRecord(1, AT, "lost", "success", {}), SOURCE)
