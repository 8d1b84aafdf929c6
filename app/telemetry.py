"""Logs and metrics, configured once; neither ever holds anything of a patient.

What this code logs names no patient. What others log, warn of and raise may repeat any value they were given, so of
that only the kind and the place are kept: an exception's text is printed where it is a `ScreeningError`'s, else its
type.
"""

import json
import logging
import resource
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Final, TextIO, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from app.domain.errors import ScreeningError

_log = logging.getLogger(__name__)
_STANDARD: Final = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn's own message again, with terminal colours
}
_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)


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


class _Withholding(logging.Filter):
    """Lets others be heard only from their severity on, and never with an exception for a message."""

    def filter(self, record: logging.LogRecord) -> bool:
        least = next((level for name, level in _LEAST_SEVERE.items() if _is_within(record.name, name)), 0)
        if record.levelno < least:
            return False
        if isinstance(record.msg, BaseException):
            record.msg, record.args = f"{type(record.msg).__qualname__}{_harmless(record.msg)}", None
        return True


def _is_within(name: str, parent: str) -> bool:
    return name == parent or name.startswith(f"{parent}.")


class _Formatter(logging.Formatter):
    def formatException(self, ei: _Caught) -> str:  # noqa: N802 - the base class's name
        return exception_text(ei[1]).rstrip() if ei[1] is not None else ""


class JsonFormatter(_Formatter):
    """One JSON object a line: time, level, logger, event and the record's context."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record."""
        line: dict[str, object] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(_Formatter):
    """A readable line with the context as ``key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record."""
        record.exc_text = None  # another handler may have rendered it, in full
        context = " ".join(f"{k}={v}" for k, v in record.__dict__.items() if k not in _STANDARD)
        return f"{super().format(record)} {context}".rstrip()


def configure_logging(log_format: str, level: str) -> None:
    """Send log records, warnings and uncaught exceptions to standard error in one format; a crash dumps no memory."""
    handler = logging.StreamHandler(sys.stderr)
    text = TextFormatter("%(asctime)s %(levelname)-7s %(name)s %(message)s")
    handler.setFormatter(JsonFormatter() if log_format == "json" else text)
    handler.addFilter(_Withholding())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
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


class Metrics:
    """Prometheus metrics of one process, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._screenings = Counter(
            "discern_screenings_total", "Screenings by outcome code", ["outcome"], registry=self.registry
        )
        self._stages = Histogram(
            "discern_stage_seconds",
            "Wall time of a screening's stages",
            ["stage"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self._requests = Histogram(
            "discern_request_seconds", "Wall time of requests", ["route", "method", "status"], buckets=_BUCKETS_S,
            registry=self.registry,
        )  # fmt: skip
        self._waiting = Gauge("discern_queue_waiting", "Films waiting for a worker", registry=self.registry)
        self._running = Gauge("discern_queue_running", "Films being screened", registry=self.registry)
        self._device = Gauge(
            "discern_model_loaded", "1 for every loaded model, with the device it really runs on",
            ["name", "version", "device", "provider"], registry=self.registry,
        )  # fmt: skip
        self._build = Info("discern_build", "Version of the service", registry=self.registry)

    def watch_queue(self, waiting: Callable[[], float], running: Callable[[], float]) -> None:
        """Read the queue whenever the metrics are read."""
        self._waiting.set_function(waiting)
        self._running.set_function(running)

    def build(self, version: str) -> None:
        """Publish the service's version."""
        self._build.info({"version": version})

    def model_loaded(self, name: str, version: str, device: str, provider: str) -> None:
        """Publish a model and the device that was checked after loading."""
        self._device.labels(name, version, device, provider).set(1)

    def screened(self, outcome: str, timings_ms: Mapping[str, float] | None = None) -> None:
        """Count one screening and its stages."""
        self._screenings.labels(outcome).inc()
        for stage, milliseconds in (timings_ms or {}).items():
            self._stages.labels(stage).observe(milliseconds / 1000.0)

    def requested(self, route: str, method: str, status: int, seconds: float) -> None:
        """Observe one request by its route's template, never by its path."""
        self._requests.labels(route, method, str(status)).observe(seconds)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
