"""Refused callers in the audit trail: the first at once, a flood as a number, and nothing lost on the way."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import StorageFullError
from app.services.hospital.auditing import checked
from app.services.hospital.refused_callers import RefusedCallers, clean_ae_title

EVERY_S, AT_ONCE = 60.0, 5


class Trail:
    """Keeps records; refuses them while it is full."""

    def __init__(self) -> None:
        self.records: list[dict[str, str]] = []
        self.full = False

    def record(self, event: str, *, outcome: str = "success", **participants: str) -> None:
        if self.full:
            raise StorageFullError("no room for the audit trail")
        assert (event, outcome) == ("association_refused", "minor_failure")
        self.records.append(checked(event, outcome, participants))

    def count(self) -> int:
        return sum(int(each.get("count", "1")) for each in self.records)


class Watch:
    """Refused callers whose clock the test moves."""

    def __init__(self) -> None:
        self.trail, self.now_s = Trail(), 1000.0
        self.callers = RefusedCallers(self.trail, EVERY_S, AT_ONCE, now_s=lambda: self.now_s)


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_the_first_of_a_kind_is_written_at_once(watch: Watch) -> None:
    watch.callers.refused("10.0.0.5", "STRANGER", "caller_not_recognised")

    assert watch.trail.records == [
        {"sender": "STRANGER", "address": "10.0.0.5", "reason": "caller_not_recognised"},
    ]


def test_a_flood_is_one_record_at_once_and_one_with_its_number_later(watch: Watch) -> None:
    for number in range(1000):
        watch.callers.refused("10.0.0.5", f"S{number}", "caller_not_recognised")
        watch.now_s += 0.01
    assert len(watch.trail.records) == 1

    watch.now_s += EVERY_S
    watch.callers.write_due()

    assert [each.get("count") for each in watch.trail.records] == [None, "999"]
    assert watch.trail.records[1]["sender"] == "S1"


def test_another_reason_or_address_is_not_hidden_by_a_flood(watch: Watch) -> None:
    for _ in range(100):
        watch.callers.refused("10.0.0.5", "A", "caller_not_recognised")
    watch.callers.refused("10.0.0.5", "A", "called_not_recognised")
    watch.callers.refused("10.0.0.6", "B", "caller_not_recognised")

    assert [(each["address"], each["reason"]) for each in watch.trail.records] == [
        ("10.0.0.5", "caller_not_recognised"), ("10.0.0.5", "called_not_recognised"),
        ("10.0.0.6", "caller_not_recognised"),
    ]  # fmt: skip


def test_many_addresses_are_told_apart_up_to_a_number_and_then_counted_together(watch: Watch) -> None:
    for number in range(500):
        watch.callers.refused(f"10.0.{number // 250}.{number % 250}", "", "too_many_connections")
    assert len(watch.trail.records) == AT_ONCE + 1

    watch.callers.close()

    assert watch.trail.count() == 500
    assert "address" not in watch.trail.records[-1]


def test_quiet_addresses_make_room_for_others(watch: Watch) -> None:
    for number in range(AT_ONCE):
        watch.callers.refused(f"10.0.0.{number}", "", "too_many_connections")
    watch.now_s += EVERY_S
    watch.callers.write_due()

    watch.callers.refused("10.0.9.9", "", "too_many_connections")

    assert watch.trail.records[-1]["address"] == "10.0.9.9"
    assert len(watch.trail.records) == AT_ONCE + 1


def test_what_could_not_be_written_is_written_later(watch: Watch) -> None:
    watch.trail.full = True
    for _ in range(3):
        watch.callers.refused("10.0.0.5", "STRANGER", "caller_not_recognised")
    watch.trail.full = False
    watch.now_s += EVERY_S

    watch.callers.write_due()

    assert [(each["sender"], each["count"]) for each in watch.trail.records] == [("STRANGER", "3")]


@given(
    refusals=st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from(["a", "b"]), st.sampled_from([0.0, 1.0, 70.0])), max_size=60
    )
)
def test_every_refusal_is_counted_once_and_no_kind_is_written_twice_in_a_minute(
    refusals: list[tuple[int, str, float]],
) -> None:
    watch = Watch()
    written: dict[tuple[str, str], float] = {}
    for address, reason, pause_s in refusals:
        watch.now_s += pause_s
        before = len(watch.trail.records)
        watch.callers.refused(str(address), "T", reason)
        for each in watch.trail.records[before:]:
            kind = each.get("address", ""), each["reason"]
            assert watch.now_s - written.get(kind, float("-inf")) >= EVERY_S
            written[kind] = watch.now_s
    watch.callers.close()

    assert watch.trail.count() == len(refusals)
    of_reasons: Counter[str] = Counter()
    for each in watch.trail.records:
        of_reasons[each["reason"]] += int(each.get("count", "1"))
    assert of_reasons == Counter(reason for _, reason, _ in refusals)


@given(claimed=st.text(max_size=200))
def test_a_claimed_title_is_bounded_and_has_no_control_characters(claimed: str) -> None:
    cleaned = clean_ae_title(claimed)

    assert len(cleaned) <= 16
    assert all(" " <= each <= "~" and each != "\\" for each in cleaned)
    assert clean_ae_title(cleaned) == cleaned


def test_a_proper_title_is_left_as_it_is() -> None:
    assert clean_ae_title("  CT_ROOM 2^A  ") == "CT_ROOM 2^A"
