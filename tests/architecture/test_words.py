"""The page has words for every flag and every problem the service can send."""

import re
from pathlib import Path

from app.api.problems import STATUS_OF
from app.codecs.reading_flags import ReadingFlag
from app.domain.errors import (
    DestinationError,
    DivergenceError,
    ImageRefusedError,
    IntakeRefusedError,
    JobConflictError,
    JobNotFoundError,
    RefusalReason,
    StorageFullError,
    StorageUnavailableError,
)
from app.domain.input_gate import GateFlag, doubts
from app.services.hospital.summary import ALERTS

WORDS = Path("app/api/web/words.js").read_text(encoding="utf-8")
DOMAIN_FLAGS = {
    "no_positive_evidence", "x:no_positive_evidence", "x':no_positive_evidence", "flat_heat_map", "low_contrast_map",
    "would_overflow_float16", "would_overflow_float32", "overflow_float64", "forced",
    "child_above_parent", "peak_outside_film", "nothing_specific", "negligible_evidence",
    "x:negligible_evidence", "x':negligible_evidence",
    "out_of_class_map",
}  # fmt: skip


def keys(table: str) -> set[str]:
    body = re.search(rf"const {table} = \{{(.*?)\n\}};", WORDS, re.S)
    assert body is not None
    return {quoted or plain for quoted, plain in re.findall(r'^  (?:"([^"]+)"|(\w+)): \[', body[1], re.M)}


def test_every_flag_has_words() -> None:
    assert {*map(str, ReadingFlag), *map(str, GateFlag), *DOMAIN_FLAGS} - keys("FLAGS") == set()


OF_THE_HOSPITAL = (
    DestinationError,
    IntakeRefusedError,
    JobConflictError,
    JobNotFoundError,
    StorageFullError,
    StorageUnavailableError,
)
"""Problems of films that are handed in for durable work, which the page does not do."""


def test_every_problem_has_words() -> None:
    codes = {kind.code for kind in STATUS_OF if kind not in (ImageRefusedError, DivergenceError)}
    codes |= {str(reason) for reason in RefusalReason}

    never_on_the_page = {"artifact_invalid", *(kind.code for kind in OF_THE_HOSPITAL)}
    assert codes - never_on_the_page - keys("PROBLEMS") == set()


def test_every_reason_for_doubt_has_few_words() -> None:
    body = re.search(r"const DOUBTS = \{(.*?)\n\};", WORDS, re.S)
    assert body is not None

    assert set(doubts(map(str, GateFlag), ("adult",))) - set(re.findall(r"(\w+): \"", body[1])) == set()


def test_every_alert_has_words_on_the_operators_page_and_in_the_manual() -> None:
    page = Path("app/api/web/operations.js").read_text(encoding="utf-8")
    table = re.search(r"const ALERTS = \{(.*?)\n\};", page, re.S)
    assert table is not None
    manual = Path("docs/operations.md").read_text(encoding="utf-8")

    assert set(re.findall(r"^  (\w+): ", table[1], re.M)) == set(ALERTS)
    assert [alert for alert in ALERTS if f"| `{alert}` |" not in manual] == []
