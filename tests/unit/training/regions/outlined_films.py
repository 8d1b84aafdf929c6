"""A small set of drawn films with the tables of outlines that lie beside a manifest."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.unit.training.phantom_data import rows, tiny_recipe, write_data
from training.phantoms import phantom_lungs
from training.regions.recipe import RegionRecipe

INFECTION = "infection (ground glass or consolidation)"
LUNGS = "lungs (both)"


def write_outlined(folder: Path, train: int = 16, val: int = 8, size: int = 48) -> Path:
    """Write a manifest, lung masks of every adult, infection masks of those with COVID-19, and some boxes.

    The mask of the infection is the upper half of the film: easily told apart from anything else.
    """
    made = [*rows("train", train), *rows("val", val), *rows("test", 4)]
    manifest = write_data(folder, made, size)
    masks: list[tuple[str, str, str]] = []
    boxes: list[tuple[str, str, float, float, float, float]] = []
    for k, row in enumerate(made):
        image, shape = f"images/{manifest.stem}-{k}.png", (size, size * 7 // 8)
        if row.age_group != "adult":
            continue
        masks.append((image, _write(folder, f"lungs-{k}", phantom_lungs(*shape, k).max(axis=0) > 0.5), LUNGS))
        if row.covid19:
            upper = np.arange(shape[0])[:, None] < shape[0] // 2
            masks.append((image, _write(folder, f"infection-{k}", np.broadcast_to(upper, shape)), INFECTION))
        elif row.pneumonia:
            boxes.append((image, "lung opacity", 0.0, 0.5, 0.5, 0.5))
    _table(folder / "masks.csv", ("image", "mask", "kind"), masks)
    _table(folder / "boxes.csv", ("image", "kind", "x", "y", "w", "h"), boxes)
    return manifest


def _write(folder: Path, name: str, mask: NDArray[np.bool_]) -> str:
    (folder / "masks").mkdir(exist_ok=True)
    path = f"masks/{name}.png"
    Image.fromarray(mask.astype(np.uint8) * 255).save(folder / path)
    return path


def _table(path: Path, columns: tuple[str, ...], rows_: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(columns)
        writer.writerows(rows_)


def tiny_region_recipe(**changes: object) -> RegionRecipe:
    """Give a recipe that trains in a second."""
    base = tiny_recipe().model_dump()
    return RegionRecipe.model_validate({**base, "region": "infection", "select_by": "last", **changes})
