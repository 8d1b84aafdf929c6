"""Films and deliveries as durable workflows: what was begun is finished, by this worker or by another.

Receivers write jobs into the job table and know nothing of workflows. A worker's dispatcher claims what is due there, a
little more than it can do at once, and makes workflows of it whose names follow from the job and the claim, so that a
claim is worked on once. A workflow has one step, which is idempotent; when its process dies, DBOS begins it again: here
after a restart, elsewhere once this worker has been silent for long enough. Should DBOS's own tables be lost, the claim
ends and the dispatcher begins anew: the job table is what counts.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from dbos import DBOS, DBOSConfig, SetEnqueueOptions, SetWorkflowID

from app.domain.errors import ScreeningError

_log = logging.getLogger(__name__)

_FILMS, _DELIVERIES = "films", "deliveries"
_APPLICATION_VERSION: Final = "1"
"""Of the workflows' shape, not of the release: work that was queued by one release is finished by the next."""
_FORGOTTEN_EVERY_S: Final = 60.0
_FORGOTTEN_AFTER_S: Final = 600.0
"""Ended workflows are remembered for so long: the job table has what is to be known of them."""
_FORGOTTEN_AT_ONCE: Final = 500
_SEEN_EVERY_S: Final = 5.0
_SILENT_S: Final = 30.0


class WorkTable(Protocol):
    """What the dispatcher needs of the job table."""

    def claim_films(self, limit: int, lease_s: float, worker: str) -> list[tuple[str, int]]:
        """Take films that may be tried now."""
        ...

    def claim_deliveries(self, destination: str, limit: int, lease_s: float, worker: str) -> list[tuple[str, int]]:
        """Take jobs with something to send or to confirm at a destination."""
        ...

    def open_destinations(self) -> list[str]:
        """Destinations that something waits for."""
        ...

    def worker_seen(self, name: str, model_version: str) -> None:
        """Say that a worker is alive."""
        ...

    def workers(self) -> Mapping[str, datetime]:
        """When each worker was last seen."""
        ...

    def silent_workers(self, silent_s: float) -> list[str]:
        """Workers that were not seen for so long."""
        ...

    def forget_worker(self, name: str) -> None:
        """Remove a worker."""
        ...

    def release_claims(self, worker: str, under_way: Collection[str]) -> None:
        """End a worker's claims, but for jobs that are under way."""
        ...


@dataclass(frozen=True, slots=True)
class WorkLimits:
    """How much a worker does at once.

    Attributes
    ----------
    films
        Films answered at the same time.
    deliveries
        Jobs delivered to one destination at the same time.
    poll_s
        How often it looks for work.
    lease_s
        How long work that was taken up is left to its worker before it is begun anew.
    """

    films: int = 1
    deliveries: int = 2
    poll_s: float = 0.25
    lease_s: float = 120.0


class Worker:
    """One process's part of the work; at most one at a time in a process, for DBOS is one.

    Parameters
    ----------
    table
        The job table.
    answer
        Answers one job by name; idempotent.
    deliver
        Sends and confirms what is due of one job at one destination; idempotent.
    name
        Of this worker, the same after a restart, different for workers that run at the same time.
    model_version
        Of this worker's networks.
    database_url
        Where DBOS keeps what is under way.
    limits
        How much at once.
    """

    def __init__(  # noqa: PLR0917  # the parts it joins
        self,
        table: WorkTable,
        answer: Callable[[str], None],
        deliver: Callable[[str, str], None],
        name: str,
        model_version: str,
        database_url: str,
        limits: WorkLimits = WorkLimits(),  # frozen
    ) -> None:
        self._table, self._answer, self._deliver = table, answer, deliver
        self._name, self._model_version, self._limits = name, model_version, limits
        self._database_url = database_url
        self._stopping = threading.Event()
        self._next_sign_of_life = self._next_forgetting = 0.0
        self._alive = 1  # workers, this one among them: they share the library's queues

    @contextmanager
    def running(self, stop_timeout_s: float = 20.0) -> Iterator[None]:
        """Work until the block is left; what is under way then is finished, or left to be begun again."""
        config = DBOSConfig(
            name="discern",
            system_database_url=self._database_url,
            application_version=_APPLICATION_VERSION,
            executor_id=self._name,
            log_level="WARNING",
            enable_otlp=False,
            use_listen_notify=False,
        )
        DBOS(config=config)
        logging.getLogger("dbos").propagate = True
        films, deliveries = self._registered()
        DBOS.launch()
        try:
            DBOS.register_queue(
                _FILMS,
                worker_concurrency=self._limits.films,
                polling_interval_sec=self._limits.poll_s,
                on_conflict="always_update",
            )
            DBOS.register_queue(
                _DELIVERIES,
                partition_worker_concurrency=self._limits.deliveries,
                polling_interval_sec=self._limits.poll_s,
                on_conflict="always_update",
            )
            dispatcher = threading.Thread(target=self._dispatch, args=(films, deliveries), name="dispatcher")
            self._table.release_claims(self._name, _jobs_under_way())
            dispatcher.start()
            try:
                yield
            finally:
                self._stopping.set()
                dispatcher.join()
        finally:
            DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=int(stop_timeout_s))
            try:
                self._table.forget_worker(self._name)
            except ScreeningError as error:
                _log.warning("worker_not_signed_off", extra={"code": error.problem_code})

    def _registered(self) -> tuple[Callable[[str], None], Callable[[str, str], None]]:
        """Make workflows of the two functions; registered here, for importing a module does nothing."""

        def answer(job_id: str) -> None:
            self._answer(job_id)

        def deliver(job_id: str, destination: str) -> None:
            self._deliver(job_id, destination)

        answer_step, deliver_step = DBOS.step(name="answer")(answer), DBOS.step(name="deliver")(deliver)

        def film(job_id: str) -> None:
            answer_step(job_id)

        def delivery(job_id: str, destination: str) -> None:
            deliver_step(job_id, destination)

        return (
            DBOS.workflow(name="film", max_recovery_attempts=1000)(film),
            DBOS.workflow(name="delivery", max_recovery_attempts=1000)(delivery),
        )

    def _dispatch(self, films: Callable[[str], None], deliveries: Callable[[str, str], None]) -> None:
        while not self._stopping.is_set():
            try:
                self._take_over()
                self._dispatch_films(films)
                self._dispatch_deliveries(deliveries)
                self._forget_ended()
            except ScreeningError as error:
                _log.warning("dispatch_failed", extra={"code": error.problem_code, "detail": error.detail})
                self._stopping.wait(1.0)
            except Exception:  # noqa: BLE001 - the loop that must survive
                _log.exception("dispatch_defect")
                self._stopping.wait(5.0)
            self._stopping.wait(self._limits.poll_s)

    def _dispatch_films(self, film: Callable[[str], None]) -> None:
        room = 4 * self._limits.films * self._alive - len(_under_way(_FILMS))
        if room <= 0:
            return
        for job_id, claim in self._table.claim_films(room, self._limits.lease_s, self._name):
            with SetWorkflowID(f"film:{job_id}:{claim}"):
                DBOS.enqueue_workflow(_FILMS, film, job_id)

    def _dispatch_deliveries(self, delivery: Callable[[str, str], None]) -> None:
        busy = _under_way(_DELIVERIES)
        for destination in self._table.open_destinations():
            room = 4 * self._limits.deliveries * self._alive - busy.count(destination)
            if room <= 0:
                continue
            for job_id, claim in self._table.claim_deliveries(destination, room, self._limits.lease_s, self._name):
                with (
                    SetWorkflowID(f"delivery:{job_id}:{destination}:{claim}"),
                    SetEnqueueOptions(queue_partition_key=destination),
                ):
                    DBOS.enqueue_workflow(_DELIVERIES, delivery, job_id, destination)

    def _take_over(self) -> None:
        """Say that this worker is alive; take over what silent ones left."""
        if time.monotonic() < self._next_sign_of_life:
            return
        self._next_sign_of_life = time.monotonic() + _SEEN_EVERY_S
        self._table.worker_seen(self._name, self._model_version)
        self._alive = max(1, len(self._table.workers()))
        for name in self._table.silent_workers(_SILENT_S):
            left = DBOS.list_workflows(status="PENDING", executor_id=name, load_input=False, load_output=False)
            for each in left:
                DBOS.resume_workflow(each.workflow_id, queue_name=each.queue_name)
            self._table.release_claims(name, _jobs_under_way())
            self._table.forget_worker(name)
            _log.warning("worker_taken_over", extra={"worker": name, "workflows": len(left)})

    def _forget_ended(self) -> None:
        """Keep the library's tables small: they would grow with every film for ever."""
        if time.monotonic() < self._next_forgetting:
            return
        before = datetime.now(UTC) - timedelta(seconds=_FORGOTTEN_AFTER_S)
        ended = DBOS.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
            end_time=before.isoformat(),
            limit=_FORGOTTEN_AT_ONCE,
            load_input=False,
            load_output=False,
        )
        if ended:
            DBOS.delete_workflows([each.workflow_id for each in ended])
        if len(ended) < _FORGOTTEN_AT_ONCE:
            self._next_forgetting = time.monotonic() + _FORGOTTEN_EVERY_S


def _jobs_under_way() -> set[str]:
    """Give the jobs of every workflow that has not ended: the second word of its name."""
    open_states = ["PENDING", "ENQUEUED", "DELAYED"]
    found = DBOS.list_workflows(status=open_states, load_input=False, load_output=False)
    return {each.workflow_id.split(":")[1] for each in found if each.workflow_id.count(":") >= 2}


def _under_way(queue: str) -> list[str | None]:
    """Give the partition of every workflow that waits or runs on a queue."""
    found = DBOS.list_queued_workflows(queue_name=queue, load_input=False)
    return [each.queue_partition_key for each in found]
