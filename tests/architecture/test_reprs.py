"""What holds a patient or a secret does not show when it is printed: in a log, an assertion, a debugger's report."""

import dataclasses
import importlib
import pkgutil

import app

HOLDS = {
    "content", "header", "patient_id", "patient_key", "patient_name", "issuer", "accession_number", "birth_date",
    "password", "token", "secret", "key",
}  # fmt: skip
"""Names of fields that hold such things, wherever they are."""
SHOWN = {("app.codecs.png_reader", "_Chunks", "header")}
"""Size and colours of a PNG."""


def shown_fields() -> tuple[int, set[tuple[str, str, str]]]:
    found, shown = 0, set()
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if module.name.endswith("__main__"):
            continue
        for name, kind in vars(importlib.import_module(module.name)).items():
            if not (isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == module.name):
                continue
            for field in dataclasses.fields(kind):
                if field.name in HOLDS:
                    found += 1
                    if field.repr:
                        shown.add((module.name, name, field.name))
    return found, shown


def test_no_dataclass_prints_what_it_should_keep_to_itself() -> None:
    found, shown = shown_fields()

    assert found > 8, "the names of the fields have changed"
    assert shown - SHOWN == set()
