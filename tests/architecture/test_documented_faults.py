"""docs/faults.md names tests that there are, and leaves out none that is of a flow or a fault."""

import re
from pathlib import Path

DOCUMENT = Path("docs/faults.md")
SUITES = tuple(map(Path, ("tests/integration/pacs", "tests/benchmarks", "tests/unit/domain", "tests/contracts")))
_NAMED = re.compile(r"`(test_\w+)`")
_OF_A_FLOW_OR_FAULT = re.compile(r"^(?:async )?def (test_[fx]\d+_\w+)\(", re.MULTILINE)
_DEFINED = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)


def test_every_flow_and_fault_names_tests_that_there_are() -> None:
    texts = [path.read_text(encoding="utf-8") for suite in SUITES for path in sorted(suite.glob("test_*.py"))]
    named = set(_NAMED.findall(DOCUMENT.read_text(encoding="utf-8")))

    assert named <= {name for text in texts for name in _DEFINED.findall(text)}
    assert {name for text in texts for name in _OF_A_FLOW_OR_FAULT.findall(text)} <= named


def test_no_number_is_missing() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")

    rows = {number for line in text.splitlines() if line.startswith("| ") for number in re.findall(r"[FX]\d+", line)}

    assert rows == {f"F{number}" for number in range(1, 15)} | {f"X{number}" for number in range(1, 19)}
