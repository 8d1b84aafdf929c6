"""What is logged, warned of or raised by others names no patient; in a process of its own, for it changes hooks."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CANARY = "CANARY^DOE"
BEGIN = f"""
import logging, sys, threading, warnings
from app.telemetry import configure_logging
configure_logging("%s", "debug")
NAME = "{CANARY}"
"""


def said(code: str, log_format: str = "json") -> str:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN % log_format + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stderr + done.stdout


def lines(code: str) -> Iterator[dict[str, Any]]:  # Any: JSON
    for line in said(code).splitlines():
        yield json.loads(line)


def test_an_exceptions_text_stays_out_of_the_log_and_its_place_is_in_it() -> None:
    code = """
def inner():
    return int(NAME)
try:
    try:
        inner()
    except ValueError as error:
        raise KeyError(NAME) from error
except KeyError:
    logging.getLogger("app.api").exception("request_failed", extra={"request_id": "r1"})
"""
    (line,) = lines(code)
    assert (line["event"], line["request_id"]) == ("request_failed", "r1")
    assert "inner" in line["exception"]
    assert [text for text in line["exception"].splitlines() if "withheld" in text] == [
        "ValueError (text withheld)",
        "KeyError (text withheld)",
    ]
    for log_format in ("json", "text"):
        assert CANARY not in said(code, log_format)
        assert "KeyError" in said(code, log_format)


def test_our_own_errors_and_the_systems_are_told_in_words() -> None:
    code = """
from app.domain.errors import StorageFullError
try:
    try:
        open("/nowhere/" + NAME)
    except OSError as error:
        raise StorageFullError("no room for the spool") from error
except StorageFullError:
    logging.getLogger("app").exception("failed")
"""
    (line,) = lines(code)

    assert "StorageFullError: no room for the spool" in line["exception"]
    assert "FileNotFoundError: No such file or directory" in line["exception"]
    assert CANARY not in json.dumps(line)


UNCAUGHT = {
    "main": "raise ValueError(NAME)",
    "thread": "t = threading.Thread(target=lambda: int(NAME)); t.start(); t.join()",
    "finaliser": """
class Held:
    def __del__(self):
        raise ValueError(NAME)
Held()
""",
    "warning": "warnings.warn(NAME)",
    "exception for a message": "logging.getLogger('pynetdicom.association').error(ValueError(NAME))",
    "rendered by another handler": """
handler = logging.StreamHandler(open("/dev/null", "w"))
logging.getLogger("x").addHandler(handler)
try:
    int(NAME)
except ValueError:
    logging.getLogger("x").exception("failed")
""",
}


@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize("code", UNCAUGHT.values(), ids=UNCAUGHT.keys())
def test_what_nobody_caught_is_logged_without_its_text(code: str, log_format: str) -> None:
    found = said(code, log_format)

    assert found.strip()
    assert CANARY not in found
    assert "invalid literal" not in found


LIBRARIES = {
    "pydicom": """
from pydicom.dataset import Dataset
found = Dataset()
found.StudyDate = NAME
found.PatientAge = NAME
""",
    "sqlalchemy": """
from sqlalchemy import create_engine, text
with create_engine("sqlite://", echo=False).connect() as connection:
    connection.execute(text("select :name"), {"name": NAME})
    try:
        connection.execute(text("select broken from nothing where x = :name"), {"name": NAME})
    except Exception:
        logging.getLogger("app").exception("failed")
""",
    "httpx2": """
import httpx2
try:
    httpx2.get("http://127.0.0.1:9/studies", params={"PatientName": NAME}, headers={"X": "x" + NAME})
except httpx2.TransportError:
    logging.getLogger("app").exception("failed")
""",
    "pynetdicom": """
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as FIND
def found(event):
    raise ValueError(NAME)
ae = AE(ae_title="TEST")
ae.add_supported_context(FIND); ae.add_requested_context(FIND)
server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, found)])
query = Dataset(); query.QueryRetrieveLevel = "STUDY"; query.PatientName = NAME
association = ae.associate("127.0.0.1", server.socket.getsockname()[1])
assert association.is_established
list(association.send_c_find(query, FIND))
association.release(); server.shutdown()
""",
    "dbos": """
import tempfile, os
from dbos import DBOS
with tempfile.TemporaryDirectory() as folder:
    DBOS(config={"name": "test", "system_database_url": f"sqlite:///{folder}/dbos.sqlite", "run_admin_server": False})
    @DBOS.step(retries_allowed=True, max_attempts=2, interval_seconds=0.01)
    def step(name): raise ValueError(name)
    @DBOS.workflow()
    def flow(name): return step(name)
    DBOS.launch()
    try:
        flow(NAME)
    except Exception:
        logging.getLogger("app").exception("failed")
    DBOS.destroy()
""",
}


@pytest.mark.parametrize("code", LIBRARIES.values(), ids=LIBRARIES.keys())
def test_libraries_repeat_nothing_at_debug_level(code: str) -> None:
    found = said(code + "\nlogging.getLogger('app').info('reached the end')\n")

    assert "reached the end" in found, found[-2000:]
    assert CANARY not in found


def test_without_this_configuration_they_would() -> None:
    code = "import logging; logging.basicConfig(level='DEBUG')\n" + f"NAME = '{CANARY}'\n" + LIBRARIES["pydicom"]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    assert CANARY in done.stderr


def test_a_crash_dumps_no_memory() -> None:
    assert "(0, 0)" in said("import resource; print(resource.getrlimit(resource.RLIMIT_CORE))")
