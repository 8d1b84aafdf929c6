"""The shipped experts measured on films with known labels, through the path that serves answers."""

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.domain.discrimination import Estimate, with_interval
from app.domain.errors import InvalidRequestError
from app.domain.operating_point import OperatingPoint
from app.inference.catalogue import Catalogue
from app.services.batch import screen_files
from app.services.options import ScreeningOptions
from app.services.screening import ScreeningService

_UNKNOWN: Final = math.nan


@dataclass(frozen=True, slots=True)
class Case:
    """One film of a manifest; ``labels`` are per expert: 1, 0, or NaN where unknown."""

    path: Path
    source: str
    group: str
    age_group: str
    labels: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One expert on one subgroup."""

    expert: str
    subgroup: str
    auroc: Estimate
    sensitivity: float | None
    specificity: float | None


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """All rows, and the films that were refused and why."""

    rows: tuple[Row, ...]
    refused: tuple[tuple[str, str], ...]
    films: int

    def payload(self) -> dict[str, Any]:  # Any: JSON's values
        """Give the report as JSON values."""
        return {
            "films": self.films,
            "refused": [{"file": path, "code": code} for path, code in self.refused],
            "rows": [
                {
                    "expert": row.expert, "subgroup": row.subgroup, "positives": row.auroc.positives,
                    "negatives": row.auroc.negatives, "auroc": row.auroc.value,
                    "auroc_interval": [row.auroc.low, row.auroc.high],
                    "sensitivity": row.sensitivity, "specificity": row.specificity,
                }
                for row in self.rows
            ],
        }  # fmt: skip

    def table(self) -> str:
        """Give the report as a plain-text table."""
        lines = [f"{'expert':12} {'subgroup':24} {'pos':>5} {'neg':>5}  {'AUROC (95 %)':22} {'sens':>6} {'spec':>6}"]
        for row in self.rows:
            area = row.auroc
            text = "undefined" if area.value is None else f"{area.value:.3f} ({area.low:.3f}-{area.high:.3f})"
            lines.append(
                f"{row.expert:12} {row.subgroup:24} {area.positives:5d} {area.negatives:5d}  {text:22}"
                f" {_text(row.sensitivity):>6} {_text(row.specificity):>6}"
            )
        lines.append(f"{self.films} films, {len(self.refused)} refused. Research use. Not for diagnostic use.")
        return "\n".join(lines)


def read_cases(manifest: Path, experts: Sequence[str], part: str | None = None) -> list[Case]:
    """Read the films of a manifest.

    Parameters
    ----------
    manifest
        CSV with the column ``path`` and one of 1, 0 or -1 for at least one expert.
    experts
        Names of the experts, which are the label columns.
    part
        Keep only rows whose ``split`` has this value.

    Raises
    ------
    InvalidRequestError
        If the file is absent or no UTF-8 text, a column is missing, a row has no path, a label is not 1, 0 or -1, or no
        row is left.
    """
    if not manifest.is_file():
        raise InvalidRequestError(f"there is no manifest {manifest}")
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as handle:
            cases = list(_cases(csv.DictReader(handle), manifest, experts, part))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidRequestError(f"{manifest.name} is no CSV in UTF-8: {error}") from error
    if not cases:
        raise InvalidRequestError(f"{manifest.name} has no rows{f' with split {part}' if part else ''}")
    return cases


def _cases(reader: "csv.DictReader[str]", manifest: Path, experts: Sequence[str], part: str | None) -> Iterator[Case]:
    columns = reader.fieldnames or ()
    if "path" not in columns or not any(name in columns for name in experts):
        raise InvalidRequestError(f"{manifest.name} needs the columns path and one of {', '.join(experts)}")
    for row in reader:
        if part is not None and row.get("split") != part:
            continue
        line, path = reader.line_num, row["path"]
        if not path:
            raise InvalidRequestError(f"line {line}: path is missing")
        labels = tuple(_label(row.get(name), name, line) for name in experts)
        group = row.get("group") or row.get("patient_id") or path
        yield Case(manifest.parent / path, row.get("dataset") or "all", group, row.get("age_group") or "", labels)


def evaluate_cases(
    service: ScreeningService,
    catalogue: Catalogue,
    cases: Sequence[Case],
    at_once: int,
    advance: Callable[[int], object],
) -> EvaluationReport:
    """Screen every case with every expert and measure discrimination per subgroup.

    Parameters
    ----------
    service, catalogue
        The serving path.
    cases
        Films with labels in the order of the catalogue's experts.
    at_once
        Workers.
    advance
        Called with 1 after every film.

    Returns
    -------
    EvaluationReport
        Pooled, per source, and by age group where it is known.
    """
    experts = [name for name, network in catalogue.networks.items() if network.manifest.kind == "expert"]
    probabilities: dict[Path, dict[str, float]] = {}
    refused: dict[Path, str] = {}
    by_path = {case.path: case for case in cases}
    for first in range(0, len(experts), 2):
        two = (experts[first], experts[min(first + 1, len(experts) - 1)])
        options = ScreeningOptions(interest=two[0], overlap=two[1], include=frozenset())
        for item in screen_files(service, list(by_path), options, at_once):
            if item.screening is None:
                refused[item.path] = item.error.problem_code if item.error else "failed"
            else:
                found = {name: finding.probability for name, finding in item.screening.result.experts.items()}
                probabilities.setdefault(item.path, {}).update(found)
            if first == 0:
                advance(1)
    answered = [case for case in cases if case.path in probabilities]
    rows: list[Row] = []
    for column, name in enumerate(experts):
        truth = np.array([case.labels[column] for case in answered], np.float64)
        scores = np.array([probabilities[case.path][name] for case in answered], np.float64)
        manifest = catalogue.expert(name).manifest
        point = manifest.operating_point_of(manifest.labels[1].name)
        groups = np.array([case.group for case in answered])
        rows += [
            _row(name, subgroup, truth[chosen], scores[chosen], groups[chosen], point)
            for subgroup, chosen in _subgroups(answered)
        ]
    return EvaluationReport(tuple(rows), tuple((p.name, code) for p, code in refused.items()), len(cases))


def _row(
    name: str,
    subgroup: str,
    truth: NDArray[np.float64],
    scores: NDArray[np.float64],
    groups: NDArray[np.str_],
    point: OperatingPoint,
) -> Row:
    said = scores >= point.threshold
    positives, negatives = truth == 1, truth == 0
    return Row(
        name,
        subgroup,
        with_interval(truth, scores, groups),
        float(said[positives].mean()) if positives.any() else None,
        float((~said)[negatives].mean()) if negatives.any() else None,
    )


def _subgroups(cases: Sequence[Case]) -> list[tuple[str, NDArray[np.bool_]]]:
    sources = np.array([case.source for case in cases])
    ages = np.array([case.age_group.split(" ")[0] for case in cases])
    found = [("all", np.ones(len(cases), bool))]
    found += [(f"source {source}", sources == source) for source in sorted(set(sources.tolist()))]
    found += [(f"age {age}", ages == age) for age in sorted(set(ages.tolist())) if age]
    return found


def _label(text: str | None, name: str, line: int) -> float:
    if text in (None, "", "-1"):
        return _UNKNOWN
    if text in ("0", "1"):
        return float(text)
    raise InvalidRequestError(f"line {line}: {name} is {text!r}; 1, 0 or -1 expected")


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
