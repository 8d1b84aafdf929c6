from collections.abc import Iterator

from pydicom.sr.codedict import codes

from app.domain import codes as ours
from app.domain.codes import PRIVATE_SCHEME, Code, finding_code, reason_code
from app.domain.errors import DivergenceReason, IntakeReason, RefusalReason, ScreeningError
from app.domain.label_hierarchy import ENSEMBLE_LABELS
from app.domain.lungs import SIDES, THIRDS
from app.services.hospital.answering import STOPPED_THE_WORKER

NOT_IN_THE_DICTIONARY = {
    Code("18748-4", "LN", "Diagnostic Imaging Report"),
    Code("840539006", "SCT", "COVID-19"),
    Code("233604007", "SCT", "Pneumonia"),
    Code("75570004", "SCT", "Viral pneumonia"),
    Code("53084003", "SCT", "Bacterial pneumonia"),
    Code("67782005", "SCT", "Acute respiratory distress syndrome"),
    Code("1", "UCUM", "no units"),
}
"""Seen in public value sets; each written out a second time."""


def test_every_code_is_the_dictionarys_or_on_the_list() -> None:
    used = {value for value in vars(ours).values() if isinstance(value, Code)}
    used |= {finding_code(label) for label in ENSEMBLE_LABELS}
    used |= {*ours.DECISIONS.values(), *ours.ZONES.values()}
    standard = {code for code in used if code.scheme != PRIVATE_SCHEME}

    assert len(standard) > 10
    for code in standard - NOT_IN_THE_DICTIONARY:
        dictionary = getattr(codes, code.scheme)
        known = [getattr(dictionary, name) for name in dictionary.dir()]
        assert (code.value, code.meaning) in {(each.value, each.meaning) for each in known}, code


def test_every_label_has_a_code_of_its_own() -> None:
    found = [finding_code(label) for label in ENSEMBLE_LABELS]

    assert len({(code.scheme, code.value) for code in found}) == len(ENSEMBLE_LABELS)
    assert finding_code("klebsiella") == Code("klebsiella", "99DISCERN", "Klebsiella")
    assert finding_code("something new") == Code("something new", "99DISCERN", "something new")


def problem_codes() -> Iterator[str]:
    """Every code that a refusal may have."""
    waiting: list[type[ScreeningError]] = [ScreeningError]
    while waiting:
        each = waiting.pop()
        yield each.code
        waiting += each.__subclasses__()
    for reasons in (RefusalReason, DivergenceReason, IntakeReason):
        yield from map(str, reasons)
    yield from (STOPPED_THE_WORKER, "internal_error")


def test_every_problem_code_has_a_reason_of_its_own() -> None:
    found = {problem: reason_code(problem) for problem in set(problem_codes())}

    assert len(found) > 30
    assert not {problem for problem, code in found.items() if code.value == "other"}
    assert len({code.value for code in found.values()}) == len(found)
    assert len({code.meaning for code in found.values()}) == len(found)
    assert reason_code("of another century") == Code("other", PRIVATE_SCHEME, "Another reason")


def test_every_code_fits_into_its_elements() -> None:
    used = [value for value in vars(ours).values() if isinstance(value, Code)]
    used += [*map(finding_code, ENSEMBLE_LABELS), *map(reason_code, problem_codes()), *ours.ZONES.values()]

    for code in used:
        assert len(code.value) <= 16, code
        assert len(code.scheme) <= 16, code
        assert 0 < len(code.meaning) <= 64, code


def test_every_zone_has_a_lung_a_side_and_a_third() -> None:
    places = {
        f"{side} {third}": ours.place_of(f"{side} {third}", lungs_known=True) for side in SIDES for third in THIRDS
    }

    assert len(set(places.values())) == len(places) == 6
    assert places["right lower"] == (ours.LUNG, ours.RIGHT, ours.ZONES["lower"])
    assert ours.place_of(None, lungs_known=True) == (ours.CHEST,)
    assert ours.place_of(None, lungs_known=False) == (ours.LUNG,)
