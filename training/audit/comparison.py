"""Several networks in one table, by what counts: within a source, without the lungs, with nothing but the lungs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from pydantic import ValidationError

from app.domain.subgroups import POOLED
from app.inference.artifact import file_sha256
from app.inference.manifest import MODEL_FILE
from training.audit.blackout import audited_subgroups
from training.audit.record import Record
from training.audit.scan import Scan, scan
from training.audit.shortcut_audit import Partner, Shortcuts, measure_shortcuts, truths_of
from training.audit.subject import Subject, opened
from training.audit.trivial_cues import CueReader
from training.bootstrap import Sample
from training.card_tables import table, with_bounds
from training.datasets import Film
from training.evaluate import Measured, measured
from training.lung_finder import LungFinder
from training.released_manifest import Data

_FEWEST_IN_A_COLUMN = 5


class ComparedNetwork(Record):
    """One network's row for one label.

    Attributes
    ----------
    name
        Of the run's directory or of the artefact.
    recipe_sha256
        Of the recipe without its seed: runs that share it differ in the seed alone.
    label
        The label that the row is about.
    auroc
        By subgroup, untouched films, whether or not lungs were found on them.
    shortcuts
        The network's shortcut audit.
    """

    name: str
    label: str
    model_sha256: str
    partner_sha256: str | None
    recipe_sha256: str | None
    films: int
    refused: int
    auroc: dict[str, Measured]
    shortcuts: Shortcuts


class Comparison(Record):
    """Rows over the same films of the same part."""

    part: str
    manifests_sha256: dict[str, str]
    lungs_sha256: str | None
    rows: tuple[ComparedNetwork, ...]


def compared(
    subject: Subject, found: Scan, films: Sequence[Film], shortcuts: Shortcuts, partner_sha256: str | None
) -> list[ComparedNetwork]:
    """Make the rows of one network, one for each audited label."""
    groups = np.array([film.group for film in films])
    rows = []
    for column, label in enumerate(subject.labels):
        if label not in shortcuts.labels:
            continue
        truth, scores = truths_of(films, label), found.scores["untouched"][:, column]
        auroc = {
            name: measured(Sample(truth[where], scores[where], groups[where]).auroc())
            for name, where in audited_subgroups(films, truth).items()
        }
        rows.append(
            ComparedNetwork(
                name=subject.name,
                label=label,
                model_sha256=subject.model_sha256,
                partner_sha256=partner_sha256,
                recipe_sha256=subject.recipe_sha256,
                films=len(films),
                refused=found.refused,
                auroc=auroc,
                shortcuts=shortcuts,
            )
        )
    return rows


@dataclass(frozen=True, slots=True)
class Conditions:
    """What all networks of a comparison have in common.

    Attributes
    ----------
    data
        Films, the training films among them.
    part
        ``val``; ``test`` belongs to a release.
    lungs
        The network that finds the lungs; without it there is no blackout.
    partners
        By an expert's label, the expert that its divergence is taken from; experts without one lack that number.
    threads
        Threads to compute with; 0 leaves it to the engine.
    """

    data: Data
    part: str
    lungs: Path | None = None
    partners: Mapping[str, Path] = field(default_factory=dict)
    threads: int = 0


def compare(directories: Sequence[Path], conditions: Conditions, out: Path) -> Comparison:
    """Audit several runs or artefacts over one part, and write ``<out>.md`` and ``<out>.json`` after each.

    Networks that are in ``<out>.json`` already, audited under the same conditions, are not audited again.

    Parameters
    ----------
    directories
        Runs or artefacts, in the table's order.
    conditions
        Common to all.
    out
        What to write, without an ending.

    Returns
    -------
    Comparison
        One row for each network and audited label.
    """
    films, train = conditions.data.part(conditions.part), conditions.data.part("train")
    lungs = LungFinder(conditions.lungs) if conditions.lungs is not None else None
    nothing = Comparison(
        part=conditions.part,
        manifests_sha256=conditions.data.sha256,
        lungs_sha256=_model_sha256(conditions.lungs) if conditions.lungs is not None else None,
        rows=(),
    )
    earlier, cues = _earlier(out, nothing), CueReader()
    partner_scans: dict[Path, Partner] = {}
    rows: list[ComparedNetwork] = []
    for directory in directories:
        with opened(directory, conditions.threads) as subject:
            other = conditions.partners.get(subject.labels[0]) if subject.kind == "expert" else None
            partner_sha256 = _model_sha256(other) if other is not None else None
            known = _known(earlier, subject, partner_sha256)
            if not known:
                if other is not None and other not in partner_scans:
                    with opened(other, conditions.threads) as second:
                        partner_scans[other] = Partner(second, scan(second, films, lungs, ("untouched",)))
                found = scan(subject, films, lungs)
                partner = partner_scans[other] if other is not None else None
                shortcuts = measure_shortcuts(subject, found, films, train, cues, partner)
                known = compared(subject, found, films, shortcuts, partner_sha256)
        rows += known
        write_comparison(nothing.model_copy(update={"rows": tuple(rows)}), out)
    return nothing.model_copy(update={"rows": tuple(rows)})


def _known(earlier: Comparison, subject: Subject, partner_sha256: str | None) -> list[ComparedNetwork]:
    """Take the rows of a network that was audited before, one a label, under its name of today."""
    found = {
        row.label: row.model_copy(update={"name": subject.name, "recipe_sha256": subject.recipe_sha256})
        for row in earlier.rows
        if (row.model_sha256, row.partner_sha256) == (subject.model_sha256, partner_sha256)
    }
    return list(found.values())


def _earlier(out: Path, conditions: Comparison) -> Comparison:
    """Read what was compared before, if it was under the same conditions."""
    try:
        earlier = Comparison.model_validate_json(out.with_suffix(".json").read_bytes())
    except (FileNotFoundError, ValidationError):
        return conditions
    return earlier if earlier.model_copy(update={"rows": ()}) == conditions else conditions


def _model_sha256(path: Path) -> str:
    """Hash a model by its artefact, its run, or the file itself."""
    for file in (path / MODEL_FILE, path / "best.pt"):
        if file.is_file():
            return file_sha256(file)
    return file_sha256(path)


def _columns(rows: Sequence[ComparedNetwork]) -> list[str]:
    """Choose subgroups that are worth a column: every one but those with next to no film of a class."""
    fewest: dict[str, int] = {}
    for row in rows:
        cues = row.shortcuts.labels[row.label].trivial_cues
        for name, entry in (cues.subgroups if cues is not None else {}).items():
            fewest[name] = min(entry.positives, entry.negatives)
    names = dict.fromkeys(name for row in rows for name in row.auroc)
    return [name for name in names if fewest.get(name, _FEWEST_IN_A_COLUMN) >= _FEWEST_IN_A_COLUMN]


def _short(estimate: Measured | None, with_interval: bool) -> str:
    if estimate is None or estimate.value is None:
        return "n/a"
    return with_bounds(estimate) if with_interval else f"{estimate.value:.3f}"


_Cell: TypeAlias = tuple[Measured | None, str]
"""What stands in a cell, and what is written behind it."""


def _cells(row: ComparedNetwork, columns: Sequence[str]) -> list[_Cell]:
    mine = row.shortcuts.labels[row.label]
    cells: list[_Cell] = [(row.auroc.get(name), "") for name in columns]
    blackout, probe = mine.blackout or {}, row.shortcuts.source_prediction
    for name in _blackout_columns(columns):
        entry = blackout.get(name)
        cells.append((entry.lungs_blacked_out if entry else None, ""))
        cells.append((entry.only_lungs if entry else None, ""))
    negative = probe.within.get(f"{row.label} negative")
    cells += [
        (None, "") if found is None else (found.balanced_accuracy, f" / {found.chance:.2f}")
        for found in (probe.everything, negative)
    ]
    outside = mine.outside_lungs
    cells.append((outside.cam["positive"].mean if outside else None, ""))
    cells.append((outside.addk["positive"].mean if outside and outside.addk else None, ""))
    cells.append((outside.flat["positive"].mean if outside else None, ""))
    return cells


def _seed_mean(rows: Sequence[Sequence[_Cell]]) -> list[_Cell]:
    """Average the cells of runs that differ in their seed alone, from the lowest to the highest."""
    averaged: list[_Cell] = []
    for cells in zip(*rows, strict=True):
        values = [measured.value for measured, _ in cells if measured is not None and measured.value is not None]
        mean = Measured(value=float(np.mean(values)), low=min(values), high=max(values)) if values else None
        averaged.append((mean, cells[0][1]))
    return averaged


def _blackout_columns(columns: Sequence[str]) -> list[str]:
    """Subgroups whose blackout is shown: without purely paediatric sources (else pooled), and mixed sources."""
    without = [name for name in columns if name.startswith("without ")] or [POOLED]
    return [name for name in columns if name in without or name.startswith("source ")]


def _written(cells: Sequence[_Cell], intervals: bool) -> list[str]:
    return [f"{_short(measured, intervals)}{suffix if measured is not None else ''}" for measured, suffix in cells]


def _seed_rows(rows: Sequence[ComparedNetwork], columns: Sequence[str]) -> list[list[str]]:
    """Average runs of one recipe over their seeds, with the range in brackets."""
    averaged = []
    for recipe in dict.fromkeys(row.recipe_sha256 for row in rows if row.recipe_sha256 is not None):
        of_recipe = list({row.model_sha256: row for row in rows if row.recipe_sha256 == recipe}.values())
        if len(of_recipe) > 1:
            name = f"*mean of {len(of_recipe)} seeds, range: {', '.join(row.name for row in of_recipe)}*"
            averaged.append([name, *_written(_seed_mean([_cells(row, columns) for row in of_recipe]), True)])
    return averaged


def _baseline_rows(
    rows: Sequence[ComparedNetwork], columns: Sequence[str], width: int, intervals: bool
) -> list[list[str]]:
    """Give a row of trivial cues for each choice of training films."""
    baselines: list[list[str]] = []
    for row in rows:
        cues = row.shortcuts.labels[row.label].trivial_cues
        if cues is None:
            continue
        cells = [(cues.subgroups[name].auroc if name in cues.subgroups else None, "") for name in columns]
        name = f"*trivial cues ({cues.trained_on} training films)*"
        baseline = [name, *_written(cells, intervals), *([""] * (width - 1 - len(columns)))]
        if baseline not in baselines:
            baselines.append(baseline)
    return baselines


def comparison_markdown(comparison: Comparison, intervals: bool = True) -> str:
    """Write one table a label: a row a network, and the baseline of trivial cues."""
    parts = []
    for label in dict.fromkeys(row.label for row in comparison.rows):
        rows = [row for row in comparison.rows if row.label == label]
        columns = _columns(rows)
        head = ["network", *columns]
        for name in _blackout_columns(columns):
            head += [f"no lungs, {name}", f"only lungs, {name}"]
        head += [
            "source told / chance",
            "source told within negatives / chance",
            "CAM outside the lungs, positives",
            "ADDK outside, positives",
            "flat map outside, positives",
        ]
        body = [[row.name, *_written(_cells(row, columns), intervals)] for row in rows]
        body += _seed_rows(rows, columns)
        body += _baseline_rows(rows, columns, len(head), intervals)
        parts.append(f"## {label}, part `{comparison.part}`, AUROC\n\n{table(head, body)}")
    return "\n".join(parts)


def write_comparison(comparison: Comparison, out: Path) -> tuple[Path, Path]:
    """Write ``<out>.md`` and ``<out>.json``."""
    out.parent.mkdir(parents=True, exist_ok=True)
    readable, machine = out.with_suffix(".md"), out.with_suffix(".json")
    readable.write_text(comparison_markdown(comparison), encoding="utf-8")
    machine.write_text(json.dumps(comparison.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    return readable, machine
