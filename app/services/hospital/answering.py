"""A film is answered: checked, screened, its results built, all of it durable before anything is sent."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

from app.domain.errors import ArtifactError, ScreeningError, StorageFullError, StorageUnavailableError
from app.domain.jobs import RetryPolicy, retry_delay_s
from app.domain.result_identity import ResultKind
from app.domain.source_image import SourceImage
from app.services.hospital.auditing import about
from app.services.hospital.ports import AuditTrail, ObjectReader, ResultBuilder, Spool
from app.services.hospital.records import Answer, Failure, Job, Refusal, ResultContext, ResultObject, StoredResult
from app.services.options import ScreeningOptions
from app.services.screening import Screening

_log = logging.getLogger(__name__)

MOST_RUNS = 8
"""A film whose work took the worker down so often is refused, so that it cannot take it down for ever.

Workers are also killed for other reasons: with three, one sound film of a thousand was refused where kills came thick.
"""
STOPPED_THE_WORKER = "stopped_the_worker"
"""Outcome of such a film."""


class AnswerTable(Protocol):
    """What answering needs of the job table."""

    def begin(self, identifier: str, model_version: str) -> Job | None:
        """Take a film up."""
        ...

    def predecessors(self, job: Job) -> list[StoredResult]:
        """Give the results of the generation before."""
        ...

    def answered(
        self,
        identifier: str,
        answer: Answer,
        results: Sequence[StoredResult],
        deliveries: Sequence[tuple[str, StoredResult]],
    ) -> None:
        """Keep an answer, its objects and where they go."""
        ...

    def failed(self, identifier: str, failure: Failure, retry_after_s: float | None) -> None:
        """Put a film back, or park it."""
        ...


_FHIR: Final = frozenset({ResultKind.FHIR_BUNDLE})
"""A destination that wants nothing else takes no DICOM object, and is told in its own way that a film was refused."""


class Screener(Protocol):
    """Screens on the calling thread."""

    def screen(self, content: bytes, options: ScreeningOptions) -> Screening:
        """Screen one film."""
        ...


class AnsweringService:
    """Answers one job at a time on the calling thread; any number of threads and processes may.

    Parameters
    ----------
    screener, reader, builder, spool, table, audit
        The parts.
    model_version
        Of everything that answers.
    wanted
        Destinations' names to the kinds of objects they want.
    options
        Of the screening.
    document
        A screening as the JSON of the HTTP interface, in bytes, by job.
    record
        A screening as the compact record that later films are compared with.
    retry
        For failures that are not the film's.
    always
        Kinds that are built and kept whether or not a destination wants them.
    matched
        Gives a film the accession number of its order, where it has none; never fails.
    """

    def __init__(  # noqa: PLR0913  # the parts it joins, by name
        self,
        *,
        screener: Screener,
        reader: ObjectReader,
        builder: ResultBuilder,
        spool: Spool,
        table: AnswerTable,
        audit: AuditTrail,
        model_version: str,
        wanted: Mapping[str, Collection[ResultKind]],
        options: ScreeningOptions,
        document: Callable[[Job, Screening], bytes],
        record: Callable[[Screening], bytes],
        retry: RetryPolicy,
        always: Collection[ResultKind] = (),
        matched: Callable[[SourceImage], SourceImage] = lambda source: source,
    ) -> None:
        self._matched = matched
        self._screener, self._reader, self._builder = screener, reader, builder
        self._spool, self._table, self._audit = spool, table, audit
        self._model_version, self._wanted, self._options = model_version, dict(wanted), options
        self._document, self._record, self._retry = document, record, retry
        self._kinds = frozenset(always).union(*wanted.values())

    def answer(self, identifier: str) -> None:
        """Answer one film, or put it back for later; whatever happens is written into its job.

        Raises
        ------
        StorageUnavailableError
            If not even that can be written.
        """
        job = self._table.begin(identifier, self._model_version)
        if job is None:
            return
        try:
            self._answer(job)
        except (StorageFullError, StorageUnavailableError, ArtifactError) as error:
            delay = retry_delay_s(self._retry, job.attempts + 1)
            _log.warning("answer_failed", extra={"job": identifier, "code": error.problem_code, "retry_s": delay})
            self._table.failed(identifier, Failure(error.problem_code, error.detail), delay)
        except Exception as error:  # noqa: BLE001 - the loop that must survive
            # A defect is this film's until it is mended; the others go on. `runs` ends it.
            delay = retry_delay_s(self._retry, job.attempts + 1)
            _log.exception("answer_defect", extra={"job": identifier, "retry_s": delay})
            self._table.failed(identifier, Failure("internal_error", type(error).__name__), delay)

    def _answer(self, job: Job) -> None:
        content = self._spool.get(job.content_key)
        source = self._reader.identify(content)
        context = ResultContext(
            self._model_version,
            job.started_at or job.received_at,
            {
                each.kind: (each.sop_class_uid, each.sop_instance_uid, each.series_uid, each.study_uid)
                for each in self._table.predecessors(job)
            },
        )
        if source is not None:
            source = self._matched(source)
        screening: Screening | None = None
        try:
            if job.runs > MOST_RUNS:
                refusal: Refusal | None = Refusal(
                    STOPPED_THE_WORKER, f"its work was begun {job.runs - 1} times and never came to an end"
                )
            else:
                screening = self._screener.screen(content, self._options)
                refusal = None
        except ScreeningError as error:
            if isinstance(error, (StorageFullError, StorageUnavailableError, ArtifactError)):
                raise
            refusal = Refusal(error.problem_code, error.detail)
        objects: tuple[ResultObject, ...] = ()
        if source is not None and screening is not None:
            objects = self._builder.answered(source, screening, context, self._kinds)
        elif source is not None and refusal is not None:
            objects = self._builder.refused(source, refusal, context, self._kinds)
        results = [
            StoredResult(
                each.kind,
                each.sop_class_uid,
                each.sop_instance_uid,
                each.series_instance_uid,
                each.study_instance_uid,
                self._spool.put(each.content),
            )
            for each in objects
        ]
        deliveries = [
            (destination, result)
            for destination, wanted in self._wanted.items()
            for result in results
            if result.kind in wanted or (result.kind is ResultKind.NOT_ANALYSED and frozenset(wanted) != _FHIR)
        ]
        answer = self._kept(job, screening, refusal)
        # Audited before it is settled: a crash in between audits it twice, never not at all.
        self._audit.record("created", **about(job))
        self._table.answered(job.id, answer, results, deliveries)
        _log.info("answered", extra={"job": job.id, "outcome": answer.outcome, "objects": len(results)})

    def _kept(self, job: Job, screening: Screening | None, refusal: Refusal | None) -> Answer:
        if screening is None:
            assert refusal is not None
            return Answer(refusal.code, error_code=refusal.code, error_detail=refusal.detail)
        first = next(iter(screening.result.experts.values()))
        return Answer(
            "screened",
            first.decision,
            first.probability,
            self._spool.put(self._document(job, screening)),
            self._spool.put(self._record(screening)),
        )
