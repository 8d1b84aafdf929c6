"""An archive answers for what it was given: Orthanc on a connection of its own, others on the one we asked on."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel  # type: ignore[attr-defined]  # made at import

from app.domain.errors import DestinationError
from app.pacs.association import Peer
from app.pacs.storage_commitment import CommitmentReadBack, CommitmentScu
from app.pacs.store_scp import StoreScp
from app.pacs.store_scu import StoreScu
from app.services.hospital.records import Confirmation
from app.storage.database import Database
from app.storage.job_table import JobTable
from tests.integration.pacs import films
from tests.integration.pacs.network import Network
from tests.integration.pacs.orthanc import Orthanc, wait_until
from tests.integration.pacs.ports import free_port
from tests.integration.pacs.results import as_result

pytestmark = pytest.mark.integration

OBJECTS = [as_result(films.film(number)) for number in range(2)]
UIDS = [each.sop_instance_uid for each in OBJECTS]


class Clock:
    """The system's time."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[JobTable]:
    database = Database(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    yield JobTable(database, Clock())
    database.close()


def read_back(archive: Peer, table: JobTable, ask_again_s: float = 600.0, wait_s: float = 0.2) -> CommitmentReadBack:
    return CommitmentReadBack("archive", CommitmentScu(archive, table.reported, wait_s), table, ask_again_s)


def settled(confirmations: dict[str, Confirmation], confirm: Any) -> bool:
    confirmations.update(confirm())
    return Confirmation.PENDING not in confirmations.values()


def test_orthanc_reports_to_our_listener_what_it_holds_and_what_not(
    start_orthanc: Any, net: Network, table: JobTable
) -> None:
    port = free_port(net.here)
    pacs: Orthanc = start_orthanc(modalities={"discern": ("DISCERN", net.here, port)})
    archive = Peer(pacs.host, pacs.dicom_port, pacs.aet, timeout_s=10)
    StoreScu(archive).send(OBJECTS[:1])
    asked = read_back(archive, table)
    found: dict[str, Confirmation] = {}

    with StoreScp(Mock(spec_set=()), "DISCERN", commitment=table.reported).listening(net.here, port):
        wait_until(lambda: settled(found, lambda: asked.confirm(OBJECTS)), "a report", 20)

    assert found == {UIDS[0]: Confirmation.HELD, UIDS[1]: Confirmation.MISSING}


class Archive:
    """An archive that commits to everything, on the association it was asked on, after a while, or never."""

    def __init__(self, delay_s: float | None, status: int = 0, stranger: bool = False) -> None:
        self.delay_s, self.status, self.stranger = delay_s, status, stranger
        self.asked: list[str] = []
        self.statuses: list[int] = []
        ae = AE("COMMITS")
        ae.add_supported_context(StorageCommitmentPushModel)
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_ACTION, self.act)])
        assert server is not None
        assert server.socket is not None
        self.server, self.peer = server, Peer("127.0.0.1", server.socket.getsockname()[1], "COMMITS", timeout_s=3)

    def act(self, event: evt.Event) -> tuple[int, None]:
        action = event.action_information
        self.asked.append(action.TransactionUID)
        if self.delay_s is not None:
            threading.Thread(target=self.report, args=(event.assoc, action), daemon=True).start()
        return self.status, None

    def report(self, association: Any, action: Dataset) -> None:
        time.sleep(self.delay_s or 0)
        information = Dataset()
        information.TransactionUID = "1.2.3" if self.stranger else action.TransactionUID
        information.ReferencedSOPSequence = action.ReferencedSOPSequence
        status, _ = association.send_n_event_report(
            information, 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1"
        )
        self.statuses.append(int(status.Status))


@pytest.fixture
def archives() -> Iterator[list[Archive]]:
    made: list[Archive] = []
    yield made
    for each in made:
        each.server.shutdown()


def test_a_report_on_the_same_association_is_waited_for(table: JobTable, archives: list[Archive]) -> None:
    archives.append(Archive(delay_s=0.3))

    found = read_back(archives[0].peer, table, wait_s=3.0).confirm(OBJECTS)

    assert found == dict.fromkeys(UIDS, Confirmation.HELD)
    wait_until(lambda: archives[0].statuses == [0], "the report is answered", 5)


def test_a_report_that_nobody_asked_for_confirms_nothing(table: JobTable, archives: list[Archive]) -> None:
    archives.append(Archive(delay_s=0.0, stranger=True))

    found = read_back(archives[0].peer, table, wait_s=1.0).confirm(OBJECTS)

    assert found == dict.fromkeys(UIDS, Confirmation.PENDING)


def test_an_archive_is_asked_once_while_it_thinks_and_again_when_it_forgot(
    table: JobTable, archives: list[Archive]
) -> None:
    archives.append(Archive(delay_s=None))
    patient = read_back(archives[0].peer, table)
    for _ in range(3):
        assert patient.confirm(OBJECTS) == dict.fromkeys(UIDS, Confirmation.PENDING)
    assert len(archives[0].asked) == 1

    impatient = read_back(archives[0].peer, table, ask_again_s=0.0)
    impatient.confirm(OBJECTS)

    assert len(set(archives[0].asked)) == 2


def test_an_archive_that_takes_longer_than_we_wait_is_heard_nevertheless(
    table: JobTable, archives: list[Archive]
) -> None:
    archives.append(Archive(delay_s=None))
    impatient = read_back(archives[0].peer, table, ask_again_s=0.0)
    impatient.confirm(OBJECTS)
    impatient.confirm(OBJECTS)

    table.reported(archives[0].asked[0], dict.fromkeys(UIDS, True))

    assert impatient.confirm(OBJECTS) == dict.fromkeys(UIDS, Confirmation.HELD)
    assert len(archives[0].asked) == 2


def test_a_refused_request_is_no_confirmation_and_is_asked_again(table: JobTable, archives: list[Archive]) -> None:
    archives.append(Archive(delay_s=None, status=0x0213))
    asked = read_back(archives[0].peer, table)

    for _ in range(2):
        with pytest.raises(DestinationError) as raised:
            asked.confirm(OBJECTS)
        assert raised.value.reason == "commitment_refused"

    assert len(archives[0].asked) == 2


def test_an_archive_without_storage_commitment_says_so(table: JobTable) -> None:
    ae = AE("STORES")
    ae.add_supported_context("1.2.840.10008.1.1")
    server = ae.start_server(("127.0.0.1", 0), block=False)
    assert server is not None
    assert server.socket is not None
    try:
        archive = Peer("127.0.0.1", server.socket.getsockname()[1], "STORES", timeout_s=3)
        with pytest.raises(DestinationError) as raised:
            read_back(archive, table).confirm(OBJECTS)
    finally:
        server.shutdown()

    assert raised.value.permanent
    assert raised.value.reason == "no_presentation_context"
