"""A small data set of synthetic films with a manifest, as `training` reads it."""

import csv
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from training.phantoms import radiograph_phantom
from training.recipe import Recipe

COLUMNS = (
    *("path", "split", "dataset", "group", "view", "age_group", "sex", "covid19", "pneumonia", "viral", "bacterial"),
    *("fungal", "ards", "sars", "no_finding", "label_quality", "finding", "licence"),
)


@dataclass(frozen=True)
class Row:
    """One film of the data set."""

    split: str
    dataset: str
    group: str
    covid19: int
    pneumonia: int
    age_group: str = "adult"
    finding: str = ""

    def as_dict(self, path: str) -> dict[str, str]:
        """Give the manifest's row."""
        values = {
            "path": path,
            "split": self.split,
            "dataset": self.dataset,
            "group": self.group,
            "view": "PA",
            "age_group": self.age_group,
            "sex": "F",
            "covid19": str(self.covid19),
            "pneumonia": str(self.pneumonia),
            "viral": str(self.covid19),
            "bacterial": "-1",
            "fungal": "0",
            "ards": "0",
            "sars": "0",
            "no_finding": str(int(self.pneumonia == 0)),
            "label_quality": "drawn",
            "finding": self.finding,
            "licence": "CC0 (drawn)",
        }
        return {column: values[column] for column in COLUMNS}


def rows(split: str, count: int) -> list[Row]:
    """Two films a patient; every other patient has COVID-19; a third of the others another pneumonia; then children."""
    made = []
    for k in range(count):
        patient = k // 2
        covid = patient % 2
        other = int(patient % 6 == 2)
        made.append(Row(split, ("alpha", "beta")[patient % 4 // 2], f"{split}-{patient}", covid, max(covid, other)))
    children = [
        Row(split, "kids", f"{split}-kid-{k}", 0, k % 2, "paediatric (1-5 years)") for k in range(max(4, count // 4))
    ]
    return made + children


def write_data(folder: Path, made: list[Row], size: int = 48, file: str = "manifest.csv") -> Path:
    """Draw the films and write the manifest."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    manifest = folder / file
    with manifest.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        for k, row in enumerate(made):
            path = f"images/{manifest.stem}-{k}.png"
            film = radiograph_phantom(size, size * 7 // 8, seed=k, opacities=4 * row.covid19 + row.pneumonia)
            Image.fromarray(film).save(folder / path)
            writer.writerow(row.as_dict(path))
    return manifest


def with_split(row: Row, split: str) -> Row:
    """Move a row to another part, keeping its patient."""
    return replace(row, split=split)


def tiny_recipe(**changes: object) -> Recipe:
    """Give a recipe that trains in a second."""
    settings: dict[str, object] = {
        "kind": "expert",
        "target": "covid19",
        "stages": [{"epochs": 1, "size_px": 32}],
        "batch_size": 8,
        "optimiser": {"name": "adamw", "learning_rate": 0.001, "weight_decay": 0.01},
        "draws_per_epoch": 24,
        "balance": 0.5,
        "select_by": "auroc",
        "mixed_precision": False,
        "augmentation": {"crop": 0.05, "rotation_deg": 5, "gamma": 0.2, "noise": 0.02, "erase": 0.2},
        "seed": 7,
    }
    return Recipe.model_validate({**settings, **changes})
