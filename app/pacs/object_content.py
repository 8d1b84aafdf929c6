"""Our own objects as bytes: where their data set begins, and whether two are the same."""

import io
from typing import Final

from pydicom import dcmread

_GROUP_LENGTH: Final = b"\x02\x00\x00\x00UL\x04\x00"


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


def same_dataset(one: bytes, other: bytes) -> bool:
    """Whether two files hold the same data set, however a PACS laid it out again.

    Parameters
    ----------
    one, other
        Part 10 files; one of them was written by us.
    """
    if dataset_of(one) == dataset_of(other):
        return True
    return bool(dcmread(io.BytesIO(one)) == dcmread(io.BytesIO(other)))
