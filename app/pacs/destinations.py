"""An archive as a destination: one way to send, one way to read back."""

from collections.abc import Callable, Mapping, Sequence

from app.domain.result_identity import ResultKind
from app.pacs.read_back import ReadBack
from app.services.hospital.records import Confirmation, ResultObject, SendOutcome

Send = Callable[[Sequence[ResultObject]], Mapping[str, SendOutcome]]
"""`DicomWebClient.store` or `StoreScu.send`."""


class ArchiveDestination:
    """`Destination` that is a PACS.

    Parameters
    ----------
    name, kinds
        As configured.
    send
        How objects get there.
    read_back
        How they are found again.
    """

    def __init__(self, name: str, kinds: frozenset[ResultKind], send: Send, read_back: ReadBack) -> None:
        self._name, self._kinds, self._send, self._read_back = name, kinds, send, read_back

    @property
    def name(self) -> str:
        """As configured."""
        return self._name

    @property
    def kinds(self) -> frozenset[ResultKind]:
        """Which objects it wants."""
        return self._kinds

    def send(self, objects: Sequence[ResultObject]) -> Mapping[str, SendOutcome]:
        """Send; see `Destination.send`."""
        return self._send(objects)

    def confirm(self, objects: Sequence[ResultObject]) -> Mapping[str, Confirmation]:
        """Read back; see `Destination.confirm`."""
        return self._read_back.confirm(objects)
