"""Our own objects as bytes: where their data set begins, how it is coded, and whether a PACS kept it as it was."""

import io
from typing import Final

from pydicom import Dataset, dcmread

_GROUP_LENGTH: Final = b"\x02\x00\x00\x00UL\x04\x00"
_PATIENT_GROUP: Final = 0x0010
_COERCED: Final = frozenset(
    {
        0x00080005,  # Specific Character Set
        0x00080020,  # Study Date
        0x00080030,  # Study Time
        0x00080050,  # Accession Number
        0x00080051,  # Issuer of Accession Number Sequence
        0x00080080,  # Institution Name
        0x00080090,  # Referring Physician's Name
        0x00081030,  # Study Description
        0x00081110,  # Referenced Study Sequence
        0x00081120,  # Referenced Patient Sequence
        0x00200010,  # Study ID
        0x04000561,  # Original Attributes Sequence
    }
)
"""With the patient's group, what an archive may rightly correct in every object of a study (PS3.4, B.4.1)."""


def dataset_of(content: bytes) -> bytes:
    """Give the bytes behind preamble and file meta information of a Part 10 file (PS3.10, 7.1).

    Raises
    ------
    ValueError
        If it is no such file.
    """
    if content[128:132] != b"DICM" or content[132:140] != _GROUP_LENGTH:
        raise ValueError("no Part 10 file with a group length")
    return content[144 + int.from_bytes(content[140:144], "little") :]


def transfer_syntax_of(content: bytes) -> str:
    """Give the Transfer Syntax UID of one of our own files.

    Raises
    ------
    ValueError
        If it is no Part 10 file.
    """
    dataset_of(content)
    return str(dcmread(io.BytesIO(content), specific_tags=[]).file_meta.TransferSyntaxUID)


def same_dataset(kept: bytes, ours: bytes) -> bool:
    """Whether a PACS kept one of our objects, however it laid it out again.

    What it may correct in every object of a study (patient, accession number, …) is not looked at.

    Parameters
    ----------
    kept
        What the PACS gave; may be anything.
    ours
        The file as we wrote it.
    """
    try:
        if dataset_of(kept) == dataset_of(ours):
            return True
        return _compared(dcmread(io.BytesIO(kept))) == _compared(dcmread(io.BytesIO(ours)))
    except Exception:  # noqa: BLE001 - pydicom raises what it likes where bytes are no DICOM
        return False


def _compared(dataset: Dataset) -> Dataset:
    """Leave out what may be corrected."""
    for element in list(dataset.keys()):
        if element.group == _PATIENT_GROUP or int(element) in _COERCED:
            del dataset[element]
    dataset.decode()
    return dataset
