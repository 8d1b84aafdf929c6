"""What an archive says of an object: C-STORE statuses and STOW-RS failure reasons (PS3.4, B.2.3; PS3.18, I.2)."""

from typing import Final

from app.services.hospital.records import SendOutcome

_SUCCESS: Final = 0x0000
_ALREADY_THERE: Final = 0x0111
_SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
_WARNINGS: Final = frozenset({0x0001, 0x0107, 0x0116})


def outcome_of(status: int) -> SendOutcome:
    """Read a status: taken, to be tried again, or refused for good.

    A duplicate counts as taken: the read-back, which follows, says whether it is ours.
    """
    if status == _SUCCESS:
        return SendOutcome(True)
    if status == _ALREADY_THERE:
        return SendOutcome(True, "already_there")
    if status in _WARNINGS or 0xB000 <= status <= 0xBFFF:
        return SendOutcome(True, f"warning_{status:04x}")
    return SendOutcome(False, f"failure_{status:04x}", f"the destination refused it with {_said(status)}",
                       permanent=is_permanent(status))  # fmt: skip


def is_permanent(status: int) -> bool:
    """Whether sending the same bytes again cannot help."""
    return 0xA900 <= status <= 0xA9FF or 0xC000 <= status <= 0xCFFF or status == _SOP_CLASS_NOT_SUPPORTED


def _said(status: int) -> str:
    meanings = (
        (0xA700, 0xA7FF, "out of resources"),
        (0xA900, 0xA9FF, "data set does not match SOP class"),
        (0xC000, 0xCFFF, "cannot understand"),
        (0x0110, 0x0110, "processing failure"),
        (0x0122, 0x0122, "SOP class not supported"),
        (0x0124, 0x0124, "not authorised"),
    )
    meaning = next((text for first, last, text in meanings if first <= status <= last), "")
    return f"0x{status:04X} ({meaning})" if meaning else f"0x{status:04X}"
