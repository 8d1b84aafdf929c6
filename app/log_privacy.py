"""What libraries may put into a log: where something happened and of which kind, never what it was about.

What others log, warn of and raise may repeat any value they were given, a patient's name too. The text of an exception
is kept where it is a `ScreeningError`'s, which names the rule and the value, never the patient.
"""

import logging
import resource
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from types import TracebackType
from typing import Final, TextIO, TypeAlias

from app.domain.errors import ScreeningError

_log = logging.getLogger(__name__)
_LEAST_SEVERE: Final = {
    "python_multipart": logging.WARNING,  # file names of uploads
    "PIL": logging.WARNING,  # what is in the files
    "pydicom": logging.CRITICAL,  # values of elements, in warnings and errors too
    "highdicom": logging.CRITICAL,
    "pynetdicom": logging.ERROR,  # identifiers of queries
    "sqlalchemy": logging.WARNING,  # statements with their parameters
    "httpx2": logging.WARNING,  # addresses with their queries
    "httpcore2": logging.WARNING,  # headers
    "h11": logging.WARNING,
    "h2": logging.WARNING,
    "hpack": logging.WARNING,
    "dbos": logging.WARNING,  # what workflows are given and return
    "psycopg": logging.WARNING,
    "uvicorn.access": logging.WARNING,  # paths
}
"""Loggers of others, and from which severity on they may be heard."""

_Caught: TypeAlias = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


def exception_text(error: BaseException) -> str:
    """Describe an exception and what led to it: places, types, and the texts that are known to name nobody."""
    return "".join(_described(error))


def _described(error: BaseException) -> Iterator[str]:
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    for each in reversed(chain):
        yield "Traceback (most recent call last):\n"
        yield from traceback.format_tb(each.__traceback__)
        yield f"{type(each).__qualname__}{_harmless(each)}\n"


def _harmless(error: BaseException) -> str:
    if isinstance(error, ScreeningError):
        return f": {error.detail}"
    if isinstance(error, OSError) and error.strerror:
        return f": {error.strerror}"  # without the file's name
    return " (text withheld)" if error.args else ""


class Withholding(logging.Filter):
    """Lets others be heard only from their severity on, and never with an exception for a message."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record may pass; its message may be changed."""
        least = next((level for name, level in _LEAST_SEVERE.items() if _is_within(record.name, name)), 0)
        if record.levelno < least:
            return False
        if isinstance(record.msg, BaseException):
            record.msg, record.args = f"{type(record.msg).__qualname__}{_harmless(record.msg)}", None
        return True


def _is_within(name: str, parent: str) -> bool:
    return name == parent or name.startswith(f"{parent}.")


class DiscreetFormatter(logging.Formatter):
    """Renders exceptions by `exception_text`, whatever another handler made of them."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record."""
        record.exc_text = None
        return super().format(record)

    def formatException(self, ei: _Caught) -> str:  # noqa: N802 - the base class's name
        """Render an exception."""
        return exception_text(ei[1]).rstrip() if ei[1] is not None else ""


def silence_others() -> None:
    """Hold loggers, warnings and uncaught exceptions of the whole process to this; a crash dumps no memory."""
    dbos = logging.getLogger("dbos")  # with a handler of its own already, it makes none
    dbos.handlers, dbos.propagate = [logging.NullHandler()], True
    for name, least in _LEAST_SEVERE.items():
        logging.getLogger(name).setLevel(least)
    warnings.showwarning = _warned
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _log.critical("uncaught_exception", exc_info=args.exc_value)
    sys.unraisablehook = lambda args: _log.error("unraisable_exception", exc_info=args.exc_value)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    _log.critical("uncaught_exception", exc_info=error)


def _warned(
    message: Warning | str,  # noqa: ARG001 - the hook's parameters
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    _log.warning("warning", extra={"category": category.__name__, "where": f"{filename}:{lineno}"})
