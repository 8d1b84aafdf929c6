"""In which order films ask to be read: what may be missed comes first, what failed is never last and lost."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum


class Urgency(IntEnum):
    """Groups, the most urgent first."""

    POSITIVE = 0
    NEEDS_EYES = 1
    """Indeterminate, refused, failed or not answered yet: nobody may take it for a normal film."""
    NEGATIVE = 2


@dataclass(frozen=True, slots=True)
class ReadingItem:
    """What the order is made of.

    Attributes
    ----------
    decision
        Of the expert of interest; None where there is no answer.
    probability
        Of the expert of interest; None likewise.
    since
        When the film was received, aware.
    name
        Breaks ties, so that the order is always the same.
    """

    decision: str | None
    probability: float | None
    since: datetime
    name: str

    @property
    def urgency(self) -> Urgency:
        """The group."""
        if self.decision == "positive":
            return Urgency.POSITIVE
        return Urgency.NEGATIVE if self.decision == "negative" else Urgency.NEEDS_EYES


def reading_key(item: ReadingItem) -> tuple[int, float, datetime, str]:
    """Give what to sort by: group, then the larger probability, then the longer wait.

    Within a group a film without a probability comes before all that have one: nothing at all is known of it.
    """
    probability = 1.0 if item.probability is None else item.probability
    return int(item.urgency), -probability - (item.probability is None), item.since, item.name
