"""The release of a region network: an expert's, with the region measured against what people drew."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from app.domain.label_hierarchy import DISPLAY_NAMES, ENSEMBLE_LABELS
from app.domain.predicted_region import NO_EXPLANATION, intersection_over_union
from app.inference.manifest import REGION_OUTPUT, Manifest, MeasuredOnEntry, RegionEntry
from training.audit.estimates import PatientDraws
from training.audit.report import Part
from training.card_tables import table
from training.datasets import Film
from training.export import Export, TrainedRun
from training.lung_finder import LungFinder
from training.regions.examples import MeasuredExample, measured_films
from training.regions.export import as_expert_run, export_region_network
from training.regions.measuring import MeasuredRun, measure
from training.regions.outlines import FilmRegion, read_outlines
from training.regions.run import TrainedRegionRun
from training.regions.tables import Cell, region_table
from training.released_manifest import Data

_PARTS_OF: Final[dict[str, tuple[FilmRegion, ...]]] = {
    "lungs": ("lungs",),
    "infection": ("infection",),
    "opacities": ("infection", "opacity boxes"),
}
"""Kinds of drawings by region: they are never pooled, as they were drawn by different people in different ways."""
_SHOWN: Final = {
    "outline_share": "outline, share of the film",
    "region_iou": "region: IoU with it",
    "lungs_iou": "both lungs: IoU with it",
    "region_nothing": "region flagged empty or saturated",
    "map_energy": "own map: energy inside it",
    "map_hit": "own map: hit",
    "agreement_energy": "own map's energy in the region",
    "agreement_iou": "IoU of region and own map",
}


@dataclass(frozen=True, slots=True)
class RegionSource:
    """See `training.release_source.ReleaseSource`."""

    trained: TrainedRegionRun

    @property
    def run(self) -> TrainedRun:
        """The classifier."""
        return as_expert_run(self.trained)

    def export(self, directory: Path, val: Sequence[Film], lungs: LungFinder | None) -> Export:
        """See `training.regions.export.export_region_network`."""
        return export_region_network(self.trained, directory, val, lungs)

    def completed(self, manifest: Manifest, data: Data | None, part: Part | None, lungs: LungFinder | None) -> Manifest:
        """Add the output, what it was trained on, and how it does on a part's outlines."""
        side, recipe = manifest.input.size_px, self.trained.recipe
        evaluation = manifest.evaluation
        if data is not None and part is not None:
            evaluation = {**evaluation, "region": self._measured(data, part, lungs)}
        name, measured_on = DISPLAY_NAMES[str(recipe.target)], manifest.measured_on
        if data is not None and measured_on is not None and not self._has_outlined_children(data):
            measured_on = MeasuredOnEntry(age_groups=("adult",)) if "adult" in measured_on.age_groups else None
        return manifest.model_copy(
            update={
                "title": f"{name} expert with a predicted region of {recipe.region} ({recipe.architecture})",
                "outputs": {**manifest.outputs, REGION_OUTPUT: ("N", 1, side, side)},
                "region": RegionEntry(
                    of=recipe.region, outlined_films=int(self.trained.record["outlines"]["train_drawn_shown"])
                ),
                "evaluation": evaluation,
                "measured_on": measured_on,
            }
        )

    def _has_outlined_children(self, data: Data) -> bool:
        """Say whether a child's film of validation is outlined; else the region was measured on adults only."""
        children = [film for film in data.part("val") if film.paediatric]
        kinds = _PARTS_OF[self.trained.recipe.region]
        return any(read_outlines(data.folders, children, kind) for kind in kinds)

    def _measured(self, data: Data, part: Part, lungs: LungFinder | None) -> dict[str, Any]:  # Any: a JSON object
        recipe, network = self.trained.recipe, self.trained.network
        column = ENSEMBLE_LABELS.index(str(recipe.target))
        films = [
            film
            for film in data.part(part)
            if film.source not in recipe.exclude_sources and not np.isnan(film.targets[column])
        ]
        kinds = {}
        for kind in _PARTS_OF[recipe.region]:
            examples = measured_films(recipe, films, data.folders, lungs, kind)
            run = MeasuredRun(
                row="release", seed=recipe.seed, classes=self.labels, part=part, outlines_shown=0, seconds=0.0,
                films=measure(network, examples),
            )  # fmt: skip
            row = region_table(kind, [run]).rows[0]
            cells = {name: cell.model_dump() for name, cell in row.cells.items() if cell.value is not None}
            if lungs is not None:
                cells["lungs_iou"] = _lungs_alone(films, examples, lungs).model_dump()
            kinds[kind] = {"films": row.films, "outlined": row.outlined, "cells": cells}
        return {"part": part, "kinds": kinds}

    @property
    def labels(self) -> tuple[str, str]:
        """Names of the outputs."""
        return f"not_{self.trained.recipe.target}", str(self.trained.recipe.target)

    def section(self, manifest: Manifest) -> str:
        """Say what the region is, what it learned from, and how it does."""
        assert manifest.region is not None
        parts = [
            "## Predicted region\n",
            f"{NO_EXPLANATION}\n",
            (
                f"Outlines of {manifest.region.of} on {manifest.region.outlined_films} training films;"
                f" {self._clear()}L_cls + {self.trained.recipe.localisation_weight:g} L_loc"
                f" ({self.trained.recipe.localisation_loss}), averaged over outlined films.\n"
            ),
        ]
        measured = manifest.evaluation.get("region")
        if measured is None:
            return "\n".join([*parts, "**The region was not measured.**\n"])
        parts.append(
            f"On part `{measured['part']}`, films on which people drew, each kind of drawing apart; mean (95 %"
            " interval over patients). What knows nothing of the film but where its lungs are has the IoU of both"
            " lungs.\n"
        )
        rows = [
            (kind, found["outlined"], *(str(_cell(found["cells"], name)) for name in _SHOWN))
            for kind, found in measured["kinds"].items()
        ]
        parts.append(table(("drawing", "films", *_SHOWN.values()), rows))
        first = next(iter(measured["kinds"].values()))
        clear = _cell(first["cells"], "region_empty_if_clear")
        parts.append(f"Films without any finding on which the region is flagged `empty_region`: {clear}.\n")
        return "\n".join(parts)

    def _clear(self) -> str:
        return "films without any finding count as outlined and empty; " if self.trained.recipe.clear_is_empty else ""


def _lungs_alone(films: Sequence[Film], examples: Sequence[MeasuredExample], lungs: LungFinder) -> Cell:
    """Overlap of the outlines with both lungs as they are found: what a region must beat."""
    overlaps, groups = [], []
    for film, example in zip(films, examples, strict=True):
        if example.outline is not None:
            right, left = lungs.of(film).masks(*example.outline.shape)
            overlaps.append(intersection_over_union(right | left, example.outline))
            groups.append(film.group)
    mean = PatientDraws(groups).mean(np.array(overlaps))
    return Cell(value=mean.value, low=mean.low, high=mean.high)


def _cell(cells: dict[str, Any], name: str) -> Cell:  # Any: as written
    return Cell.model_validate(cells[name]) if name in cells else Cell(value=None)
