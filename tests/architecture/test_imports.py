"""What import-linter cannot say: that its list of third parties is complete."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
OWN = {"app", "training"}


def third_parties(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            else:
                continue
            for name in {name.partition(".")[0] for name in names} - OWN - sys.stdlib_module_names:
                yield name, path.relative_to(ROOT)


def test_the_domain_imports_only_the_standard_library_and_numpy() -> None:
    foreign = {(name, str(path)) for name, path in third_parties(ROOT / "app" / "domain") if name != "numpy"}

    assert foreign == set()


@pytest.mark.parametrize("package", sorted(OWN))
def test_every_third_party_is_forbidden_to_the_domain(package: str) -> None:
    configuration: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))  # Any: TOML
    contracts = configuration["tool"]["importlinter"]["contracts"]
    domain = next(contract for contract in contracts if contract.get("source_modules") == ["app.domain"])

    used = {name for name, _ in third_parties(ROOT / package)} - {"numpy"}

    assert used - set(domain["forbidden_modules"]) == set()
