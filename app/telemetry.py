"""Logs and metrics, configured once; neither ever holds anything of a patient."""

import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.domain.errors import ScreeningError
from app.log_privacy import DiscreetFormatter, Withholding, silence_others
from app.services.hospital.summary import ALERTS, Summary

_STANDARD: Final = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn's own message again, with terminal colours
}
_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)


class JsonFormatter(DiscreetFormatter):
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


class TextFormatter(DiscreetFormatter):
    """A readable line with the context as ``key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record."""
        context = " ".join(f"{k}={v}" for k, v in record.__dict__.items() if k not in _STANDARD)
        return f"{super().format(record)} {context}".rstrip()


def configure_logging(log_format: str, level: str) -> None:
    """Send every log record to standard error in one format."""
    handler = logging.StreamHandler(sys.stderr)
    text = TextFormatter("%(asctime)s %(levelname)-7s %(name)s %(message)s")
    handler.setFormatter(JsonFormatter() if log_format == "json" else text)
    handler.addFilter(Withholding())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    silence_others()


class _HospitalCollector(Collector):
    """The hospital's queue, counted in the job table when it is asked for: the same from every process."""

    def __init__(self, summary: Callable[[], Summary]) -> None:
        self._summary = summary

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand: that would ask the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give what there is; nothing but `discern_job_table_up` where the job table does not answer."""
        up = GaugeMetricFamily("discern_job_table_up", "1 where the job table answers")
        try:
            found = self._summary()
        except ScreeningError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        films = GaugeMetricFamily("discern_films", "Films by state", labels=["state"])
        for state, count in found.jobs.items():
            films.add_metric([state], count)
        arrivals = GaugeMetricFamily("discern_arrivals", "Arrivals kept, by outcome", labels=["outcome"])
        for outcome, count in found.arrivals.items():
            arrivals.add_metric([outcome], count)
        deliveries = GaugeMetricFamily(
            "discern_deliveries", "Result objects by destination and state", labels=["destination", "state"]
        )
        for destination, states in found.deliveries.items():
            for delivery_state, count in states.items():
                deliveries.add_metric([destination, delivery_state], count)
        workers = GaugeMetricFamily("discern_worker_seen_seconds", "Since a worker was seen", labels=["worker"])
        for worker, seconds in found.workers.items():
            workers.add_metric([worker], seconds)
        alerts = GaugeMetricFamily("discern_alert", "1 for what needs an operator", labels=["alert"])
        for alert in ALERTS:
            alerts.add_metric([alert], float(alert in found.alerts))
        yield from (films, arrivals, deliveries, workers, alerts)
        for name, words, value in (
            ("discern_oldest_open_seconds", "Age of the oldest open film; 0 where none is", found.oldest_open_s or 0.0),
            ("discern_overdue_films", "Films open for longer than the deadline", found.overdue),
            ("discern_spool_bytes", "Bytes in the spool", found.spool_bytes),
            ("discern_spool_max_bytes", "Bytes the spool may hold", found.spool_max_bytes),
        ):
            yield GaugeMetricFamily(name, words, value=value)


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

    def watch_hospital(self, summary: Callable[[], Summary]) -> None:
        """Count jobs, deliveries and arrivals whenever the metrics are read."""
        self.registry.register(_HospitalCollector(summary))

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
