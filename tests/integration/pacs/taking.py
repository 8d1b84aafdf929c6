"""A receiver that keeps films in memory, and refuses or fails as a test tells it to."""

import io
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime

from pydicom import dcmread

from app.domain.errors import ScreeningError
from app.domain.jobs import ArrivalOutcome
from app.services.hospital.records import Arrival, Receipt, RefusedArrival


class Taking:
    """`Receiver` in memory; with `knows`, `note` and cursors, all that a poller needs of the job table."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.notes: list[tuple[str, str]] = []
        self.kept: dict[str, str] = {}
        self.interfere: Callable[[str], None] = lambda _: None
        self.today = datetime(2026, 11, 25, 12, tzinfo=UTC)

    @property
    def uids(self) -> list[str]:
        """What was taken, in order."""
        return [uid for uid, _ in self.taken]

    def receive(self, content: bytes, arrival: Arrival) -> Receipt:  # noqa: ARG002 - the port's
        uid = str(dcmread(io.BytesIO(content), stop_before_pixels=True).SOPInstanceUID)
        self.interfere(uid)
        self.taken.append((uid, content))
        return Receipt("job", ArrivalOutcome.ACCEPTED, uid)

    def receive_all(
        self, contents: Sequence[bytes], arrival: Arrival, study_uid: str | None = None
    ) -> Sequence[Receipt | RefusedArrival]:
        raise NotImplementedError

    def knows(self, uids: Collection[str]) -> set[str]:
        return set(self.uids) & set(uids)

    def note(self, kind: str, detail: str) -> None:
        self.notes.append((kind, detail))

    def cursor(self, name: str) -> str | None:
        return self.kept.get(name)

    def keep_cursor(self, name: str, value: str) -> None:
        self.kept[name] = value

    def now(self) -> datetime:
        return self.today


def failing(error: ScreeningError) -> Callable[[str], None]:
    """Fail at every film."""

    def fail(_: str) -> None:
        raise error

    return fail
