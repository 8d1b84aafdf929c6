import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.domain.errors import DestinationError
from app.services.hospital.auditing import AuditRecord
from app.storage.audit import LAG_S, AuditLog, ForwardingState
from app.storage.audit_files import AuditFiles
from tests.fakes import PATIENCE_S

KEY = b"a key of this test"


class MovingClock:
    def __init__(self) -> None:
        self.at = datetime(2026, 11, 25, 12, tzinfo=UTC)

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


class Sink:
    """Keeps what it is sent; refuses while it is down, and where told takes a batch and then says that it did not."""

    def __init__(self) -> None:
        self.name = "tcp://receiver.example:514"
        self.down = False
        self.forget_answers = 0
        self.received: list[int] = []
        self.attempts = 0

    def send(self, records: Sequence[AuditRecord]) -> None:
        self.attempts += 1
        if self.down:
            raise DestinationError("tcp://receiver.example:514: Connection refused")
        self.received += [record.number for record in records]
        if self.forget_answers:
            self.forget_answers -= 1
            raise DestinationError("tcp://receiver.example:514: no answer within 1 s")


def eventually(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.005)


def opened(folder: Path, *sinks: Sink) -> AuditLog:
    names = ("syslog", "fhir")
    log = AuditLog(AuditFiles(folder, KEY), MovingClock(), dict(zip(names, sinks, strict=False)), idle_s=0.05)
    log.start()
    return log


def test_what_is_recorded_arrives_in_order(tmp_path: Path) -> None:
    sink = Sink()
    log = opened(tmp_path, sink)
    for _ in range(20):
        log.record("received", sender="MODALITY")

    log.close()
    assert sink.received == list(range(1, 21))
    assert AuditFiles(tmp_path, KEY).verify().problems == ()


def test_what_waited_for_a_receiver_arrives_after_a_restart_once(tmp_path: Path) -> None:
    sink = Sink()
    sink.down = True
    log = opened(tmp_path, sink)
    for _ in range(3):
        log.record("sent", destination="PACS")
    eventually(lambda: sink.attempts > 0)
    state = log.forwarding()["syslog"]
    log.close()
    assert state.oldest_waiting is not None
    assert state.sent_number == 0
    eventually(lambda: log.forwarding()["syslog"].error == "tcp://receiver.example:514: Connection refused")

    sink.down = False
    log = opened(tmp_path, sink)
    log.record("sent", destination="PACS")
    eventually(lambda: sink.received == [1, 2, 3, 4])
    eventually(lambda: log.forwarding()["syslog"].oldest_waiting is None)
    log.close()
    log = opened(tmp_path, sink)
    log.close()

    assert sink.received == [1, 2, 3, 4]


def test_an_answer_that_was_lost_costs_a_second_copy_and_no_record(tmp_path: Path) -> None:
    sink = Sink()
    sink.forget_answers = 1
    log = opened(tmp_path, sink)
    log.record("started")
    eventually(lambda: sink.received == [1])
    log.close()

    log = opened(tmp_path, sink)
    log.close()

    assert sink.received == [1, 1]


def test_one_receiver_that_is_down_holds_up_no_other_and_no_purge_passes_it(tmp_path: Path) -> None:
    up, down = Sink(), Sink()
    down.down = True
    log = opened(tmp_path, up, down)
    log.record("received")
    log._clock.at += timedelta(days=40)  # type: ignore[attr-defined]  # the clock of this test
    log.record("received")
    eventually(lambda: up.received == [1, 2])

    assert log.purge(keep_days=30) == 0
    down.down = False
    log.close()
    log = opened(tmp_path, up, down)
    eventually(lambda: down.received == [1, 2])
    log._clock.at += timedelta(days=40)  # type: ignore[attr-defined]
    assert log.purge(keep_days=30) == 1
    log.close()


def test_of_two_processes_over_one_trail_one_sends(tmp_path: Path) -> None:
    first, second = Sink(), Sink()
    one, two = opened(tmp_path, first), opened(tmp_path, second)
    one.record("received")
    two.record("received")
    eventually(lambda: len(first.received) + len(second.received) == 2)
    assert sorted(first.received + second.received) == [1, 2]
    assert [] in (first.received, second.received)

    (one if first.received else two).close()
    (two if first.received else one).record("received")
    eventually(lambda: sorted(first.received + second.received) == [1, 2, 3])
    (two if first.received[:1] == [1] else one).close()


@pytest.mark.parametrize(
    "wrong", [{"event": "recieved"}, {"event": "received", "outcome": "fine"}, {"event": "received", "name": "x"}]
)
def test_what_is_no_event_is_a_defect_and_leaves_nothing(tmp_path: Path, wrong: dict[str, str]) -> None:
    log = opened(tmp_path)

    with pytest.raises(ValueError, match="audit"):
        log.record(wrong.pop("event"), **wrong)

    assert log.verify().records == 0
    log.close()


def test_a_record_names_nobody_when_printed(tmp_path: Path) -> None:
    files = AuditFiles(tmp_path, KEY)
    record = files.append(datetime(2026, 11, 25, tzinfo=UTC), "accessed", "success", {"patient_id": "CANARY-4711"})
    files.close()

    assert "CANARY" not in repr(record)


def test_a_receiver_that_lags_is_said_by_every_process_with_the_reason_of_the_one_that_sends(tmp_path: Path) -> None:
    sink = Sink()
    sink.down = True
    sending = opened(tmp_path, sink)
    beside = AuditLog(AuditFiles(tmp_path, KEY), sending._clock)  # with other settings: it knows no receiver
    for _ in range(3):
        sending.record("received")
    eventually(lambda: beside.forwarding().get("syslog", ForwardingState(0, None)).error is not None)
    assert beside.troubles() == sending.troubles() == {}

    sending._clock.at += timedelta(seconds=LAG_S)  # type: ignore[attr-defined]  # the clock of this test
    for each in (beside, sending):
        assert each.troubles() == {
            "syslog": "3 records not read by it, the first of 2026-11-25 12:00:01Z:"
            " tcp://receiver.example:514: Connection refused"
        }

    sink.down = False
    eventually(lambda: beside.troubles() == {})
    sending.close()
    beside.close()


def test_records_that_nobody_sends_on_are_said_and_receivers_of_old_settings_are_not(tmp_path: Path) -> None:
    sink = Sink()
    opened(tmp_path, sink).close()
    log = AuditLog(AuditFiles(tmp_path, KEY), MovingClock(), {"fhir": Sink()})  # never started
    log.record("received")
    log._clock.at += timedelta(seconds=LAG_S + 60)  # type: ignore[attr-defined]  # the clock of this test

    assert log.troubles() == {
        "fhir": "1 record not read by it, the first of 2026-11-25 12:00:01Z: no failure is known; is a process running?"
    }
    log.close()


def test_a_clock_that_was_set_back_makes_nothing_lag(tmp_path: Path) -> None:
    log = AuditLog(AuditFiles(tmp_path, KEY), MovingClock(), {"fhir": Sink()})
    log.record("received")
    log._clock.at -= timedelta(days=1)  # type: ignore[attr-defined]  # the clock of this test

    assert log.troubles() == {}
    log.close()
