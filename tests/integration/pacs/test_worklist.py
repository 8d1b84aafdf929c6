"""A real worklist (dcmtk's) is asked which order a film belongs to (F10)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from app.domain.errors import DestinationError
from app.pacs.association import Peer
from app.pacs.worklist import WorklistQuery, WorklistScu
from tests.integration.pacs import films, oracle
from tests.integration.pacs.archives import dcmtk
from tests.integration.pacs.hospital import Hospital, stow_destination
from tests.integration.pacs.orthanc import Orthanc

pytestmark = pytest.mark.integration


def order(folder: Path, number: str, patient: str, study: str, day: str = "20261125", modality: str = "DX") -> None:
    """Write one entry of the worklist."""
    step = Dataset()
    step.Modality, step.ScheduledStationAETitle = modality, "ROOM1"
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = day, "0800"
    step.ScheduledPerformingPhysicianName, step.ScheduledProcedureStepDescription = "", "Chest PA"
    step.ScheduledProcedureStepID, step.ScheduledStationName = f"S{number}", "ROOM1"
    step.ScheduledProcedureStepLocation, step.PreMedication = "", ""
    entry = Dataset()
    entry.SpecificCharacterSet = "ISO_IR 100"
    entry.AccessionNumber, entry.PatientName, entry.PatientID = number, "Canarybird^Order", patient
    entry.PatientBirthDate, entry.PatientSex = "19700101", "O"
    entry.StudyInstanceUID, entry.RequestedProcedureDescription = study, "Chest PA"
    entry.RequestedProcedureID, entry.RequestedProcedurePriority = f"R{number}", "ROUTINE"
    entry.ScheduledProcedureStepSequence = [step]
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID("1.2.276.0.7230010.3.1.0.1"), generate_uid()
    entry.file_meta = meta
    entry.save_as(folder / f"{number}.wl", enforce_file_format=True)


@pytest.fixture
def worklist(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A worklist with nothing in it: the folder for its entries, and its port."""
    folder = tmp_path / "worklists" / "WORKLIST"
    folder.mkdir(parents=True)
    (folder / "lockfile").touch()
    with dcmtk("wlmscpfs", "-dfp", str(folder.parent), "-s", folder=tmp_path) as port:
        yield folder, port


def scu(port: int, title: str = "WORKLIST") -> WorklistScu:
    return WorklistScu(Peer("127.0.0.1", port, title, timeout_s=5))


def test_entries_are_found_by_patient_number_day_and_modality(worklist: tuple[Path, int]) -> None:
    folder, port = worklist
    order(folder, "A1", "P1", "1.2.3.1")
    order(folder, "A2", "P1", "1.2.3.2", day="20261124")
    order(folder, "A3", "P2", "1.2.3.3", modality="CT")

    def found(**query: str) -> set[str]:
        return {each.accession_number for each in scu(port).find(WorklistQuery(**query))}

    assert found() == {"A1", "A2", "A3"}
    assert found(patient_id="P1") == {"A1", "A2"}
    assert found(accession_number="A3") == {"A3"}
    assert found(patient_id="P1", scheduled_date="20261124") == {"A2"}
    assert found(modality="CT") == {"A3"}
    assert found(patient_id="P3") == set()


def test_an_entry_has_what_it_was_scheduled_with(worklist: tuple[Path, int]) -> None:
    folder, port = worklist
    order(folder, "A1", "P1", "1.2.3.1")

    (entry,) = scu(port).find(WorklistQuery(patient_id="P1"))

    assert entry.study_instance_uid == "1.2.3.1"
    assert (entry.modality, entry.scheduled_date, entry.station_ae_title) == ("DX", "20261125", "ROOM1")
    assert (entry.requested_procedure_id, entry.requested_procedure_description) == ("RA1", "Chest PA")
    assert "Canarybird" not in repr(entry)
    assert "A1" not in repr(entry).replace("RA1", "")


def test_a_worklist_that_is_not_there_is_an_error_of_its_own(worklist: tuple[Path, int]) -> None:
    with pytest.raises(DestinationError):
        scu(worklist[1], "NOSUCHLIST").find(WorklistQuery())


@pytest.mark.slow
def test_f10_films_without_accession_number_get_that_of_their_order(
    worklist: tuple[Path, int], pacs: Orthanc, hospital: Callable[..., Hospital]
) -> None:
    folder, port = worklist
    sent = [films.film(number, series="order", AccessionNumber="") for number in (0, 3, 6)]
    named = films.film(9, series="order")
    datasets = [films.dataset(number, series="order") for number in (0, 3, 6, 9)]
    for number, dataset in enumerate(datasets):
        if number != 2:  # the third has no order
            order(folder, f"ORDER{number}", dataset.PatientID, dataset.StudyInstanceUID, dataset.StudyDate)
    discern = hospital(
        destinations=[stow_destination(pacs)],
        settings={"WORKLIST__HOST": "127.0.0.1", "WORKLIST__PORT": str(port)},
    ).start()

    discern.send([*sent, named])
    discern.wait_idle(4)

    assert oracle.audit_counts(discern.audit_folder)["queried"] == 3
    found = oracle.by_source(oracle.results(pacs))
    numbers = {uid: {each.dataset.AccessionNumber for each in objects} for uid, objects in found.items()}
    assert numbers == {
        sent[0].sop_instance_uid: {"ORDER0"},
        sent[1].sop_instance_uid: {"ORDER1"},
        sent[2].sop_instance_uid: {""},
        named.sop_instance_uid: {datasets[3].AccessionNumber},
    }
