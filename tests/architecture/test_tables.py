"""Tables that must stay complete: problems, settings, the API's description."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.api.problems import STATUS_OF, TITLE_OF, screening_problem
from app.cli import build_parser
from app.domain.errors import (
    DivergenceError,
    DivergenceReason,
    ImageRefusedError,
    IntakeReason,
    IntakeRefusedError,
    OverloadedError,
    RefusalReason,
    ScreeningError,
)
from app.main import create_app
from app.settings import Settings, load_settings, setting_names

ROOT = Path(__file__).parents[2]
OPERATIONS = ROOT / "docs" / "operations.md"
OPENAPI = ROOT / "docs" / "openapi.json"
WRITE_OPENAPI = "python -m tests.architecture.write_openapi"


def errors_below(kind: type[ScreeningError] = ScreeningError) -> Iterator[type[ScreeningError]]:
    for each in kind.__subclasses__():
        yield each
        yield from errors_below(each)


KINDS = sorted(errors_below(), key=lambda kind: kind.__name__)


def example(kind: type[ScreeningError]) -> ScreeningError:
    if kind is ImageRefusedError:
        return ImageRefusedError(RefusalReason.TOO_SMALL, "x")
    if kind is DivergenceError:
        return DivergenceError(DivergenceReason.EMPTY_MAP, "x")
    if kind is IntakeRefusedError:
        return IntakeRefusedError(IntakeReason.MISSING_UID, "x")
    return kind("x")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_a_title_and_a_code_of_its_own(kind: type[ScreeningError]) -> None:
    response = screening_problem(example(kind))

    assert response.status_code == STATUS_OF[kind] >= 400
    assert TITLE_OF[kind]
    assert kind.code != ScreeningError.code
    assert ("retry-after" in response.headers) == (kind is OverloadedError)


def test_the_tables_hold_no_error_that_is_gone_and_no_code_twice() -> None:
    assert set(STATUS_OF) == set(TITLE_OF) == set(KINDS)
    codes = [kind.code for kind in KINDS] + [each.value for each in (*RefusalReason, *DivergenceReason, *IntakeReason)]
    assert len(set(codes)) == len(codes)


def test_every_setting_has_a_description() -> None:
    assert [name for name, description in setting_names().items() if not description] == []


def settings_table() -> str:
    """The table of docs/operations.md, as it should be there."""
    rows = ["| Variable | Default | Meaning |", "|---|---|---|"]
    defaults = Settings.model_construct()
    for name, description in setting_names().items():
        value: object = defaults
        for part in name.removeprefix("DISCERN_").lower().split("__"):
            value = getattr(value, part)
        shown = "null" if value is None else "[]" if value == () else value
        rows.append(f"| `{name}` | `{shown}` | {description} |")
    return "\n".join(rows)


@pytest.mark.skipif(not OPERATIONS.exists(), reason="docs/operations.md is not written yet")
def test_every_setting_is_documented() -> None:
    documented = OPERATIONS.read_text(encoding="utf-8")

    missing = [name for name in setting_names() if name not in documented]

    assert missing == [], f"docs/operations.md lacks {missing}; the whole table:\n\n{settings_table()}\n"


@pytest.mark.skipif(not OPERATIONS.exists(), reason="docs/operations.md is not written yet")
def test_every_problem_code_is_documented() -> None:
    documented = OPERATIONS.read_text(encoding="utf-8")
    codes = {kind.code for kind in KINDS if kind not in {ImageRefusedError, DivergenceError, IntakeRefusedError}}
    codes |= {each.value for each in (*RefusalReason, *DivergenceReason, *IntakeReason)}

    assert sorted(code for code in codes if f"`{code}`" not in documented) == []


def test_every_documented_default_can_be_given_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for line in settings_table().splitlines()[2:]:
        name, value = (cell.strip(" `") for cell in line.strip("| ").split("|")[:2])
        monkeypatch.setenv(name, value)

    assert load_settings() == Settings.model_validate({})


def test_the_description_of_the_api_is_the_one_that_was_reviewed() -> None:
    reviewed = json.loads(OPENAPI.read_text(encoding="utf-8"))

    found = json.loads(json.dumps(create_app(Settings.model_construct()).openapi()))
    found["info"]["version"] = reviewed["info"]["version"]  # of the package, not of the API

    assert found == reviewed, f"the API has changed; if that is meant: {WRITE_OPENAPI}, and read the difference"


def test_every_command_is_described() -> None:
    text = build_parser().format_help()

    for verb in ("serve", "screen", "models", "evaluate"):
        assert verb in text
