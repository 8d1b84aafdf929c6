"""Films with known labels, as a manifest lists them; whatever is wrong with it is said before the first film."""

import csv
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from app.domain.errors import InvalidRequestError
from app.domain.subgroups import NOT_STATED

ALL_PARTS: Final = "all"
_SEPARATORS: Final = (",", ";", "\t")
_LABELS: Final = {"1": 1.0, "1.0": 1.0, "0": 0.0, "0.0": 0.0}
_UNKNOWN: Final = frozenset({"", "-1", "-1.0", "nan", "na"})
_YEARS: Final = {"Y": 1.0, "M": 1.0 / 12.0, "W": 7.0 / 365.25, "D": 1.0 / 365.25}
_ADULT_FROM_YEARS: Final = 18.0
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Case:
    """One film of a manifest; a `FilmFacts`.

    Attributes
    ----------
    path
        The file.
    source
        The data set, hospital or machine.
    group
        The patient, or several joined: what is resampled.
    paediatric
        None where the age is not stated.
    view, sex
        ``"AP…"`` or ``"PA…"``, ``"F"`` or ``"M"``; empty where not stated.
    labels
        One a label asked for: 1, 0, or NaN where unknown.
    """

    path: Path
    source: str
    group: str
    paediatric: bool | None
    view: str
    sex: str
    labels: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    part: str
    case: Case


class _Complaints:
    """What is wrong with the rows of one manifest."""

    def __init__(self, manifest: Path) -> None:
        self._manifest = manifest
        self._found: list[str] = []

    def add(self, line: int, what: str) -> None:
        self._found.append(f"line {line}: {what}")

    def end(self, what: str) -> None:
        """Raise what was found, if anything."""
        if self._found:
            more = f"; and {len(self._found) - _SHOWN} more" if len(self._found) > _SHOWN else ""
            shown = "; ".join(self._found[:_SHOWN])
            raise InvalidRequestError(f"{self._manifest.name}: {len(self._found)} {what}: {shown}{more}")


def read_cases(manifest: Path, labels: Sequence[str], part: str = ALL_PARTS, limit: int | None = None) -> list[Case]:
    """Read the films of a manifest.

    Parameters
    ----------
    manifest
        CSV, comma, semicolon or tab between its columns; see docs/evaluate.md for them.
    labels
        Names of the label columns.
    part
        Keep only rows whose ``split`` has this value; ``all`` keeps all.
    limit
        Keep no more than this many, spread evenly over the rows.

    Returns
    -------
    list of Case
        In the manifest's order.

    Raises
    ------
    InvalidRequestError
        If the file is absent or no UTF-8 text, a column is missing, a row has no path or names one a second time, a
        label is not 1, 0 or -1, a patient stands in two parts, no row is left, none of them has a label, or a file is
        not there.
    """
    if not manifest.is_file():
        raise InvalidRequestError(f"there is no manifest {manifest}")
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as handle:
            rows = list(_rows(handle, manifest, labels))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidRequestError(f"{manifest.name} is no CSV in UTF-8: {error}") from error
    _check_parts(rows, manifest)
    chosen = [row for row in rows if part in (ALL_PARTS, row.part)]
    if not chosen:
        there = ", ".join(sorted({row.part or "(empty)" for row in rows}))
        raise InvalidRequestError(f"{manifest.name} has no rows{f' with split {part}; there are {there}' * bool(rows)}")
    if limit is not None and limit < len(chosen):
        chosen = [chosen[k * len(chosen) // limit] for k in range(limit)]
    if all(math.isnan(label) for row in chosen for label in row.case.labels):
        raise InvalidRequestError(f"{manifest.name}: no film has a label of 1 or 0 in {' or '.join(labels)}")
    missing = _Complaints(manifest)
    for row in chosen:
        if not row.case.path.is_file():
            missing.add(row.line, str(row.case.path))
    missing.end(f"of {len(chosen)} files are not there")
    return [row.case for row in chosen]


def _rows(handle: TextIO, manifest: Path, labels: Sequence[str]) -> Iterator[_Row]:
    head = handle.readline()
    handle.seek(0)
    reader = csv.DictReader(handle, delimiter=max(_SEPARATORS, key=head.count))
    columns = [name.strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    if "path" not in columns or not any(name in columns for name in labels):
        raise InvalidRequestError(f"{manifest.name} needs the columns path and one of {', '.join(labels)}")
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise InvalidRequestError(f"{manifest.name} has the column {', '.join(twice)} twice")
    complaints, first_line = _Complaints(manifest), dict[Path, int]()
    for row in reader:
        line = reader.line_num

        def cell(name: str, row: dict[str, str | None] = row) -> str:  # a row shorter than the head ends with None
            return (row.get(name) or "").strip()

        if not cell("path"):
            complaints.add(line, "path is missing")
            continue
        for name in labels:
            if cell(name).lower() not in _UNKNOWN | _LABELS.keys():
                complaints.add(line, f"{name} is {cell(name)!r}; 1, 0 or -1 expected")
        case = _case(cell, manifest.parent, labels)
        if (first := first_line.setdefault(case.path, line)) != line:
            complaints.add(line, f"{cell('path')} stands in line {first} already")
        yield _Row(line, cell("split"), case)
    complaints.end("rows cannot be used")


def _case(cell: Callable[[str], str], folder: Path, labels: Sequence[str]) -> Case:
    source = cell("dataset") or cell("source") or NOT_STATED
    return Case(
        path=folder / cell("path"),
        source=source,
        group=cell("group") or f"{source}:{cell('patient_id') or cell('path')}",
        paediatric=is_paediatric(cell("age_group"), cell("age")),
        view=cell("view").upper(),
        sex=cell("sex").upper()[:1],
        labels=tuple(_LABELS.get(cell(name), math.nan) for name in labels),
    )


def is_paediatric(age_group: str, age: str) -> bool | None:
    """Say whether a patient is a child: by the age group in words, else by an age below eighteen years.

    Parameters
    ----------
    age_group
        ``adult…``, ``paediatric…`` or ``child…``, with anything behind.
    age
        A number of years, or as DICOM writes it: ``045Y``, ``011M``, ``003W``, ``012D``.

    Returns
    -------
    bool or None
        None where neither says.

    Examples
    --------
    >>> is_paediatric("paediatric (1-5 years)", ""), is_paediatric("", "17.5"), is_paediatric("", "003M")
    (True, True, True)
    >>> is_paediatric("adult", "5"), is_paediatric("", "018Y"), is_paediatric("", "old")
    (False, False, None)
    """
    words = age_group.lower()
    if words.startswith(("paediatric", "pediatric", "child")):
        return True
    if words.startswith("adult"):
        return False
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([YMWD]?)", age.upper())
    return None if found is None else float(found[1]) * _YEARS[found[2] or "Y"] < _ADULT_FROM_YEARS


def _check_parts(rows: Sequence[_Row], manifest: Path) -> None:
    """Refuse a manifest in which a patient was learnt from and is tested on."""
    parts: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.part:
            parts[row.case.group].add("train" if row.part.startswith("train") else row.part)
    crossing = sorted(group for group, where in parts.items() if len(where) > 1)
    if crossing:
        shown = ", ".join(crossing[:_SHOWN]) + (", …" if len(crossing) > _SHOWN else "")
        raise InvalidRequestError(f"{manifest.name}: {len(crossing)} patients stand in more than one part: {shown}")
