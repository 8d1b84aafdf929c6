"""Joins a worker: the networks of this process, the builder of results, the ways out, and durable work."""

import socket
from collections.abc import Callable, Mapping
from typing import Final

import orjson

from app.api.payload import screening_payload
from app.bootstrap import Services
from app.bootstrap.destinations import destination_of
from app.bootstrap.hospital import HospitalSide, workflow_database_url
from app.domain.jobs import RetryPolicy
from app.domain.result_identity import ResultKind
from app.domain.source_image import SourceImage
from app.fhir.bundle import FhirBundleBuilder
from app.pacs.association import Peer
from app.pacs.result_builder import DicomResultBuilder
from app.pacs.study_identity import study_identity
from app.pacs.worklist import WorklistMatch, WorklistScu
from app.services.hospital.answering import AnsweringService
from app.services.hospital.building import CombinedBuilder
from app.services.hospital.delivery import DeliveryService
from app.services.hospital.film_record import record_of
from app.services.hospital.ports import Destination
from app.services.hospital.records import Job
from app.services.hospital.release import release_version
from app.services.options import ScreeningOptions
from app.services.screening import Screening, identity
from app.workflows.durable_work import Worker, WorkLimits

_OPTIONS: Final = ScreeningOptions(overlay_px=768)


def make_answering(side: HospitalSide, services: Services, destinations: Mapping[str, Destination]) -> AnsweringService:
    """Join what answers films to the networks of this process."""
    work = side.settings.work
    return AnsweringService(
        screener=services.screening,
        reader=side.reader,
        builder=CombinedBuilder(
            [DicomResultBuilder(), FhirBundleBuilder(study_identity, side.settings.fhir.patient_system)]
        ),
        spool=side.spool,
        table=side.table,
        audit=side.audit,
        model_version=model_version_of(services),
        wanted={name: destination.kinds for name, destination in destinations.items()},
        options=_OPTIONS,
        document=_document,
        record=record_of,
        always={ResultKind.FHIR_BUNDLE},
        retry=RetryPolicy(work.retry_first_s, work.retry_most_s, work.film_attempts),
        matched=_order_match(side),
    )


def _order_match(side: HospitalSide) -> Callable[[SourceImage], SourceImage]:
    """Make what looks orders up; without a worklist nothing is looked up."""
    worklist = side.settings.worklist
    if not worklist.host:
        return lambda source: source
    calling = side.settings.pacs.ae_title
    peer = Peer(worklist.host, worklist.port, worklist.ae_title, calling, timeout_s=worklist.timeout_s)
    return WorklistMatch(WorklistScu(peer), side.audit).matched


def make_worker(side: HospitalSide, services: Services) -> Worker:
    """Join a worker to the networks of this process."""
    settings = side.settings
    work = settings.work
    destinations = {each.name: destination_of(each, side) for each in settings.destinations}
    answering = make_answering(side, services, destinations)
    delivery = DeliveryService(
        destinations,
        side.spool,
        side.table,
        side.audit,
        side.clock,
        RetryPolicy(work.retry_first_s, work.retry_most_s, work.delivery_attempts or None),
    )
    return Worker(
        side.table,
        answering.answer,
        delivery.attempt,
        work.name or socket.gethostname(),
        model_version_of(services),
        workflow_database_url(settings),
        WorkLimits(work.films or settings.workers, work.deliveries, work.poll_s),
    )


def model_version_of(services: Services) -> str:
    """Name the loaded networks and the way they are asked, in one word."""
    named = [identity(model) for model in services.catalogue.models.values()]
    return release_version([(model.name, model.version, model.sha256) for model in named], _OPTIONS)


def _document(job: Job, screening: Screening) -> bytes:
    created = job.started_at or job.received_at
    return orjson.dumps(screening_payload(job.id, created, screening), option=orjson.OPT_SERIALIZE_NUMPY)
