"""What is said beside a map of evidence: its flags, its share outside the lungs; and why a decision is withheld."""

from typing import Final

from app.domain.activation_map import is_negligible, peak_is_on_film
from app.domain.arrays import ActivationMap
from app.domain.input_gate import doubts
from app.domain.lungs import outside_lungs
from app.domain.preprocessing import Rectangle
from app.domain.radiograph import Radiograph
from app.domain.screening import NEGLIGIBLE_EVIDENCE
from app.inference.manifest import MeasuredOnEntry
from app.services.preparation import CheckedFilm

NO_POSITIVE_EVIDENCE: Final = "no_positive_evidence"
"""Flag of a map that argues for its class nowhere."""
PEAK_OUTSIDE_FILM: Final = "peak_outside_film"
"""Flag of a map whose strongest cell lies in the padding around the film."""


def evidence_flags(evidence: ActivationMap, extent: Rectangle, film: Radiograph) -> tuple[str, ...]:
    """Name what a reader of a signed map ``(h, w)`` should know of it."""
    if float(evidence.max()) <= 0.0:
        return (NO_POSITIVE_EVIDENCE,)
    weak = (NEGLIGIBLE_EVIDENCE,) if is_negligible(evidence) else ()
    return weak if peak_is_on_film(evidence, extent, film.height, film.width) else (*weak, PEAK_OUTSIDE_FILM)


def share_outside_lungs(values: ActivationMap, extent: Rectangle, checked: CheckedFilm) -> float | None:
    """Measure which part of a map's positive evidence lies outside the lungs; None where no lungs are known."""
    return None if checked.lungs is None else outside_lungs(values, extent, checked.lungs)


def reasons_for_doubt(checked: CheckedFilm, measured_on: MeasuredOnEntry | None) -> tuple[str, ...]:
    """Name the flags of a film that put it outside what was measured."""
    return doubts(checked.flags, None if measured_on is None else measured_on.age_groups)
