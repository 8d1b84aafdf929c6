"""docs/dependencies.md says of every dependency why it is there, and of no other."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
REQUIREMENTS = sum(PROJECT["optional-dependencies"].values(), PROJECT["dependencies"])
NAMES = {re.split(r"[\[<>=~! ]", requirement)[0] for requirement in REQUIREMENTS}


def explained() -> set[str]:
    python = PAGE.partition("## Outside Python")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in python.splitlines() if line[:2] == "| "]
    cells = [row[1] if row[0].startswith("`") else row[0] for row in rows]
    return {re.sub(r"\[.*\]", "", name) for cell in cells for name in cell.split(", ") if name != "Package"} - {"Extra"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_dependency_is_explained(name: str) -> None:
    assert name in explained()


def test_nothing_else_is_explained() -> None:
    assert explained() - NAMES == set()
