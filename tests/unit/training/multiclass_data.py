"""Tiny runs of several classes on drawn films."""

from pathlib import Path

from tests.unit.training.phantom_data import Row, write_data
from training.multiclass.films import from_manifest
from training.multiclass.recipe import MulticlassRecipe
from training.multiclass.run import RunData, select_parts


def class_rows(split: str, patients: int) -> list[Row]:
    """Two films a patient, the three classes in turn, two sources, some children."""
    made = []
    for k in range(patients):
        covid, other = int(k % 3 == 0), int(k % 3 == 2)
        age = "paediatric (1-5 years)" if k % 4 == 3 else "adult"
        row = Row(split, ("alpha", "beta")[k % 2], f"{split}-{k}", covid, max(covid, other), age)
        made += [row, row]
    return made


def write_classes(folder: Path, size: int = 40) -> Path:
    """Write a manifest with parts train, val and test."""
    return write_data(folder, [*class_rows("train", 24), *class_rows("val", 15), *class_rows("test", 6)], size)


def tiny_recipe(**changes: object) -> MulticlassRecipe:
    """Give a recipe that trains in a second."""
    settings: dict[str, object] = {
        "architecture": "resnet18",
        "size_px": 32,
        "stages": [{"name": "whole", "trains": "all", "epochs": 1, "learning_rate": 1e-3}],
        "batch_size": 8,
        "mixed_precision": False,
        "seed": 7,
    }
    return MulticlassRecipe.model_validate({**settings, **changes})


HEAD_STAGE = {"name": "head", "trains": "head", "epochs": 6, "learning_rate": 1e-2, "patience": 2}
TOP_STAGE = {"name": "top", "trains": "layer4.1", "epochs": 1, "learning_rate": 1e-4}


def data_of(manifest: Path, recipe: MulticlassRecipe) -> RunData:
    """Read a manifest whose part ``val`` is held out."""
    return select_parts(recipe, from_manifest(manifest), "val")
