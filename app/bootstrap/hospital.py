"""Joins the hospital side: spool and job table, ways in, worker, ways out."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.bootstrap import SystemClock, decode_limits
from app.bootstrap.audit import open_audit
from app.codecs.decoder import FilmDecoder
from app.codecs.dicom_identity import DicomObjectReader
from app.codecs.png import PngEncoder
from app.domain.errors import ScreeningError, StorageUnavailableError
from app.domain.jobs import longest_wait_s
from app.pacs.own_objects import is_own
from app.services.hospital.desk import OperatorDesk
from app.services.hospital.exporting import Exporter
from app.services.hospital.housekeeping import Housekeeping
from app.services.hospital.intake import IntakeService
from app.services.hospital.priors import PriorService
from app.services.hospital.reading_list import ReadingList
from app.settings import Settings
from app.storage.audit import AuditLog
from app.storage.database import Database
from app.storage.job_table import JobTable
from app.storage.patient_key import patient_key
from app.storage.spool import FileSpool

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HospitalSide:
    """What receivers, pollers, operators and workers share."""

    settings: Settings
    clock: SystemClock
    spool: FileSpool
    table: JobTable
    reader: DicomObjectReader
    audit: AuditLog
    receiver: IntakeService
    housekeeping: Housekeeping
    desk: OperatorDesk
    reading: ReadingList
    priors: PriorService
    exporter: Exporter


def database_url(settings: Settings) -> str:
    """Where the job table is."""
    url = settings.spool.database_url.get_secret_value()
    return url or f"sqlite:///{spool_dir(settings).resolve() / 'jobs.sqlite'}"


def workflow_database_url(settings: Settings) -> str:
    """Where the durable-execution library keeps what is under way: beside the job table."""
    url = database_url(settings)
    if url.startswith("sqlite"):
        return f"sqlite:///{spool_dir(settings).resolve() / 'workflows.sqlite'}"
    return url


@contextmanager
def open_hospital(settings: Settings) -> Iterator[HospitalSide]:
    """Open spool, job table and audit trail.

    Raises
    ------
    StorageUnavailableError
        If the spool cannot be written to, or the database does not answer.
    """
    folder, clock = spool_dir(settings), SystemClock()
    spool = FileSpool(folder, settings.spool.max_bytes, settings.spool.reserve_bytes)
    database = Database(database_url(settings))
    try:
        table = JobTable(database, clock, longest_wait_s(settings.work.retry_most_s))
        limits = decode_limits(settings)
        secret = patient_key(folder)
        reader = DicomObjectReader(limits, secret)
        decoder = FilmDecoder(limits)

        def same_film(one: bytes, other: bytes) -> bool:
            try:
                first, second = (decoder.decode(each, tolerate_refusals=True).pixels for each in (one, other))
            except ScreeningError:
                return False
            return bool(np.array_equal(first, second))

        with open_audit(settings, folder, secret, clock) as audit:
            receiver = IntakeService(reader, spool, table, audit, is_own, same_film)
            housekeeping = Housekeeping(
                spool, table, audit, clock, settings.spool.keep_days, settings.spool.keep_jobs_days
            )
            desk = OperatorDesk(
                table, spool, audit, clock, housekeeping, settings.work.deadline_s, settings.spool.max_bytes
            )
            reading = ReadingList(table, clock)
            priors = PriorService(table, spool, audit, decoder, PngEncoder())
            exporter = Exporter(table, spool, audit, secret)
            yield HospitalSide(
                settings, clock, spool, table, reader, audit, receiver, housekeeping, desk, reading, priors, exporter
            )
    finally:
        database.close()


def spool_dir(settings: Settings) -> Path:
    """Where the spool is.

    Raises
    ------
    StorageUnavailableError
        If there is none.
    """
    if settings.spool.dir is None:
        raise StorageUnavailableError("DISCERN_SPOOL__DIR is not set: the hospital side keeps films there")
    return settings.spool.dir
