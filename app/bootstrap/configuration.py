"""A start with another configuration than the last one's is an event of the audit trail (PS3.15, A.5.3.12)."""

import hashlib
import hmac
import json
import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from app.services.hospital.ports import AuditTrail
from app.settings import Settings
from app.storage.durable_files import write_durably

_log = logging.getLogger(__name__)
_PARTS: Final = {
    "listener": "pacs", "destinations": "destinations", "sources": "sources", "worklist": "worklist",
    "audit": "audit", "fhir": "fhir",
}  # fmt: skip
"""What an auditor is told of, and the settings it is made of."""


def note_configuration(
    settings: Settings, audit: AuditTrail, folder: Path, key: bytes, roles: Collection[str]
) -> tuple[str, ...]:
    """Record that parts of the configuration changed since the last start of a process with the same roles.

    Parameters
    ----------
    settings
        Of this process.
    audit
        The trail.
    folder
        The spool's; keyed hashes of the parts are kept there, and nothing else of them.
    key
        Of the hashes.
    roles
        Of this process: processes with other roles may have other settings.

    Returns
    -------
    tuple of str
        The parts that changed; all at the first start.

    Raises
    ------
    StorageFullError, StorageUnavailableError
        If it cannot be recorded.
    """
    path = folder / f"configured-{'-'.join(sorted(roles))}"
    found = fingerprints(settings, key)
    kept = _kept(path)
    changed = tuple(part for part in found if kept.get(part) != found[part])
    if changed:
        audit.record("configured", user="discern", reason=", ".join(changed))  # before it is kept: twice, never not
        try:
            write_durably(path, json.dumps(found).encode())
        except OSError as error:
            _log.warning("configuration_not_kept", extra={"detail": error.strerror})
    return changed


def fingerprints(settings: Settings, key: bytes) -> dict[str, str]:
    """Hash every part of the configuration, what its certificates hold included; secrets and private keys are left out.

    Parameters
    ----------
    settings
        All.
    key
        Without it nobody can test what an address in the settings may be.

    Returns
    -------
    dict
        HMAC-SHA-256 in hex, by part.
    """
    dumped = settings.model_dump(include=set(_PARTS.values()))
    secret = hashlib.sha256(b"configuration" + key).digest()
    return {
        part: hmac.new(secret, json.dumps(_shown(dumped[name]), sort_keys=True).encode(), hashlib.sha256).hexdigest()
        for part, name in _PARTS.items()
    }


def _shown(value: object, name: str = "") -> object:
    """Give settings as JSON: a secret as asterisks, a file (but for private keys) with the hash of its content."""
    if isinstance(value, Mapping):
        return {str(each): _shown(value[each], str(each)) for each in value}
    if isinstance(value, list | tuple):
        return [_shown(each) for each in value]
    if isinstance(value, Path) and not name.endswith("key"):
        return [str(value), _content(value)]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _content(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    except OSError:
        return "unreadable"


def _kept(path: Path) -> dict[str, str]:
    try:
        kept = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
