"""What DICOMweb servers answer: bodies of parts, and what they say of stored objects, sound or not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import UnreadableImageError
from app.pacs.dicomweb_client import first_value, stow_outcomes
from app.pacs.multipart import parts_of, written
from app.pacs.store_status import is_permanent, outcome_of
from app.services.hospital.records import SendOutcome

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["00081199", "00081198", "00081155", "00081197", "00081196", "Value", "vr"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(contents=st.lists(st.binary(max_size=200), min_size=1, max_size=4))
def test_parts_come_out_as_they_went_in(contents: list[bytes]) -> None:
    body, content_type = written(contents, "application/dicom")

    assert list(parts_of(body, content_type)) == contents


@given(contents=st.lists(st.binary(max_size=60), min_size=1, max_size=3), data=st.data())
def test_a_body_that_was_cut_never_passes_for_a_whole_one(contents: list[bytes], data: st.DataObject) -> None:
    body, content_type = written(contents, "application/dicom")
    cut = data.draw(st.integers(0, len(body) - len(b"--\r\n") - 1))

    parts, found = parts_of(body[:cut], content_type), list[bytes]()
    with pytest.raises(UnreadableImageError):
        found.extend(parts)

    assert found == contents[: len(found)]


@given(body=st.binary(max_size=300), content_type=st.text(max_size=60))
def test_no_body_does_more_harm_than_an_error(body: bytes, content_type: str) -> None:
    for name in (content_type, 'multipart/related; boundary="x"'):
        try:
            list(parts_of(body, name))
        except UnreadableImageError:
            continue


def test_parts_as_servers_write_them() -> None:
    body = (
        b"preamble that counts for nothing\r\n--b\r\nContent-Type: application/dicom\r\nContent-Length: 3\r\n\r\nabc"
        b"\r\n--b\r\n\r\n--not a boundary\r\n\r\n--b--\r\nepilogue"
    )

    assert list(parts_of(body, 'Multipart/Related; Boundary="b"; type="application/dicom"')) == [
        b"abc",
        b"--not a boundary\r\n",
    ]


@given(document=JSON)
def test_no_answer_to_a_store_does_harm_or_passes_for_an_acknowledgement(document: Any) -> None:
    found = stow_outcomes(document)

    accepted = {uid for uid, outcome in found.items() if outcome.accepted and outcome.code != "already_there"}
    text = json.dumps(document)
    assert not accepted or "00081199" in text or "00081197" in text
    assert all(found)


def test_an_object_that_is_both_stored_and_failed_has_failed() -> None:
    item = {"00081155": {"Value": ["1.2"]}}
    failed = {**item, "00081197": {"Value": [0xA700]}}

    found = stow_outcomes({"00081199": {"Value": [item]}, "00081198": {"Value": [failed]}})

    assert not found["1.2"].accepted


def test_a_failure_without_a_reason_is_one_and_may_be_tried_again() -> None:
    found = stow_outcomes({"00081198": {"Value": [{"00081155": {"Value": ["1.2"]}}]}})

    assert (found["1.2"].accepted, found["1.2"].permanent) == (False, False)


def test_a_warning_is_kept() -> None:
    item = {"00081155": {"Value": ["1.2"]}, "00081196": {"Value": [0xB000]}}

    assert stow_outcomes({"00081199": {"Value": [item]}})["1.2"] == SendOutcome(True, "warning_b000")


@pytest.mark.parametrize(
    ("attributes", "value"),
    [({}, None), ({"1": None}, None), ({"1": {"Value": []}}, None), ({"1": {"Value": [7]}}, "7"), ({"1": 3}, None)],
)
def test_values_that_are_not_there_are_none(attributes: dict[str, Any], value: str | None) -> None:
    assert first_value(attributes, "1") == value


@given(status=st.integers(0, 0xFFFF))
def test_every_status_is_taken_refused_for_good_or_tried_again(status: int) -> None:
    found = outcome_of(status)

    assert found.permanent == (is_permanent(status) and not found.accepted)
    assert found.accepted or f"0x{status:04X}" in found.detail
    if 0xA700 <= status <= 0xA7FF or status in {0x0110, 0x0124}:
        assert (found.accepted, found.permanent) == (False, False)
    if status >> 8 == 0xA9 or status >> 12 == 0xC:
        assert (found.accepted, found.permanent) == (False, True)
