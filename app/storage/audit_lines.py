"""Lines of audit files, in JSON: number ``n``, time ``at``, ``event``, ``outcome``, participants ``who``, ``chain``."""

import contextlib
import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from app.services.hospital.auditing import AuditRecord

_TAIL_BYTES: Final = 1 << 18


def append_line(handle: int, line: bytes, size: int) -> None:
    """Append a line, or leave the file as it was."""
    written = 0
    try:
        while written < len(line):
            written += os.write(handle, line[written:])
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, size)
        raise


def fields_of(record: AuditRecord) -> dict[str, object]:
    """Give what a line says but for its chain."""
    at = record.at.isoformat()
    return {"n": record.number, "at": at, "event": record.event, "outcome": record.outcome, "who": record.participants}


def canonical(fields: Mapping[str, object]) -> bytes:
    """Write JSON the one way that is chained."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def parsed(line: bytes) -> AuditRecord:
    """Read a line.

    Raises
    ------
    ValueError, KeyError, TypeError
        If it is damaged.
    """
    fields = json.loads(line)
    who = {str(name): str(value) for name, value in fields["who"].items()}
    at = datetime.fromisoformat(fields["at"])
    return AuditRecord(int(fields["n"]), at, fields["event"], fields["outcome"], who, str(fields["chain"]))


def whole_bytes(path: Path, size: int) -> int:
    """Bytes up to and including the last line's end."""
    with path.open("rb") as file:
        at = size
        while at > 0:
            begin = max(0, at - _TAIL_BYTES)
            file.seek(begin)
            found = file.read(at - begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            at = begin
    return 0


def last_record(path: Path) -> AuditRecord | None:
    """Give the last undamaged record of a file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _TAIL_BYTES))
        lines = file.read(_TAIL_BYTES).split(b"\n")[:-1]
    for line in reversed(lines):
        try:
            return parsed(line)
        except (ValueError, KeyError, TypeError):
            continue
    return None
