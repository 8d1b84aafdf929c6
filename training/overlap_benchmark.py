"""Do the maps find the part that is specific to a class? Measured where the truth is known to the pixel."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from app.domain.lungs import LungFields
from training.audit.expert_pair import Expert, network_expert
from training.audit.localisation import LocalisationTable, MeasuredFilm, Subset, localisation_tables, measure_films
from training.audit.map_methods import ALPHAS, map_methods
from training.audit.marked_films import MarkedFilm
from training.overlap_experts import (
    APART,
    BATCH,
    CONTENTS,
    FIRST_UNAWARE,
    SECOND_UNAWARE,
    SPECIFICATION,
    STEPS,
    TRAINING_FILMS,
    Mixture,
    accuracy,
    held_out_films,
    train_expert,
)
from training.overlap_phantoms import SCENES, OverlapPhantom, Scene

SEEDS: Final = (0, 1, 2)
TEST_FILMS: Final = 60
REPORTED: Final[tuple[Subset, ...]] = ("all films", "both positive")
SHARED: Final = "shared by both"
_FEWEST_PIXELS: Final = 8

REST: Final = {
    "neither class": (FIRST_UNAWARE, SECOND_UNAWARE),
    "the other class alone, in half of them": (APART, APART),
}
"""What the experts' negatives show, and what the first and the second expert learn from."""


class BenchmarkCondition(BaseModel):
    """One scene and one choice of negatives, over all seeds.

    Attributes
    ----------
    rest
        What the experts' negatives show.
    accuracies
        Of both experts on held-out films, a pair a seed.
    tables
        By what was to be found: the part specific to the first class, specific to the second, shared by both.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scene: str
    first: str
    second: str
    rest: str
    accuracies: tuple[tuple[float, float], ...]
    tables: tuple[LocalisationTable, ...]

    def table(self, kind: str, part: str = "all parts") -> LocalisationTable:
        """Give the table of what was to be found, over all films; ``part`` names a seed."""
        return next(t for t in self.tables if (t.kind, t.part, t.subset) == (kind, part, "all films"))


class Benchmark(BaseModel):
    """Every condition, and what it took on the clock and on all cores together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: tuple[int, ...]
    test_films_per_seed: int
    training_steps: int
    seconds: float
    processor_seconds: float
    conditions: tuple[BenchmarkCondition, ...]


def specific(name: str) -> str:
    """Name the part that belongs to one class alone."""
    return f"specific to {name}"


@dataclass(frozen=True, slots=True)
class Trained:
    """An expert and how often it is right on films that it did not see."""

    expert: Expert
    accuracy: float


def train(
    scene: Scene, name: str, mixture: Mixture, seed: int, steps: int = STEPS, tested: int = TEST_FILMS
) -> Trained:
    """Train the expert of one of a scene's classes, and test it.

    Parameters
    ----------
    scene, name
        What is drawn, and the class.
    mixture
        What the training films are.
    seed
        Of films and weights.
    steps
        Training batches.
    tested
        Held-out films of every content.
    """

    def is_class(films: Sequence[OverlapPhantom]) -> list[bool]:
        return [film.is_first if name == scene.first else film.is_second for film in films]

    count = min(TRAINING_FILMS, steps * BATCH)
    films = mixture.draw(scene, count, seed * 100_000 + (0 if name == scene.first else 50_000))
    network = train_expert(films, is_class(films), seed, steps)
    unseen = [film for content in CONTENTS for film in held_out_films(scene, content, tested, seed + 500)]
    return Trained(network_expert(network, SPECIFICATION, name), accuracy(network, unseen, is_class(unseen)))


def marked(scene: Scene, films: Sequence[OverlapPhantom], seed: int) -> list[MarkedFilm]:
    """Give each film once for each part that it shows: specific to either class, and shared."""
    found = []
    for number, film in enumerate(films):
        for kind, mask in (
            (specific(scene.first), film.first_only),
            (specific(scene.second), film.second_only),
            (SHARED, film.shared),
        ):
            if mask.sum() >= _FEWEST_PIXELS:
                name = f"{scene.name}-{seed}-{number}"
                found.append(MarkedFilm(film.grey, mask, kind, f"seed {seed}", name, name))
    return found


def run_benchmark(
    seeds: Sequence[int] = SEEDS,
    test_films: int = TEST_FILMS,
    steps: int = STEPS,
    scenes: Sequence[Scene] = SCENES,
) -> Benchmark:
    """Train every pair and measure every map.

    Parameters
    ----------
    seeds
        One pair of experts each, with training and test films of its own.
    test_films
        Films that show both classes, for each seed.
    steps
        Training batches of each expert.
    scenes
        What is drawn.

    Notes
    -----
    Intervals draw films of all seeds; how much the seeds differ is told by the tables of each.
    """
    started, computed = time.monotonic(), time.process_time()
    return Benchmark(
        conditions=tuple(condition for scene in scenes for condition in _conditions(scene, seeds, test_films, steps)),
        seeds=tuple(seeds),
        test_films_per_seed=test_films,
        training_steps=steps,
        seconds=round(time.monotonic() - started, 1),
        processor_seconds=round(time.process_time() - computed, 1),
    )


def _conditions(scene: Scene, seeds: Sequence[int], test_films: int, steps: int) -> Iterator[BenchmarkCondition]:
    """Both choices of negatives, over all seeds."""
    methods = map_methods(scene.first, scene.second, ALPHAS)
    for rest, (for_first, for_second) in REST.items():
        measured: list[MeasuredFilm] = []
        accuracies = []
        for seed in seeds:
            first = train(scene, scene.first, for_first, seed, steps, test_films)
            second = train(scene, scene.second, for_second, seed, steps, test_films)
            films = held_out_films(scene, "both", test_films, seed)
            lungs = DrawnLungs(films) if scene.has_lungs else None
            measured += measure_films(first.expert, second.expert, marked(scene, films, seed), lungs, methods)
            accuracies.append((first.accuracy, second.accuracy))
        yield BenchmarkCondition(
            scene=scene.name,
            first=scene.first,
            second=scene.second,
            rest=rest,
            accuracies=tuple(accuracies),
            tables=tuple(table for table in localisation_tables(measured, methods) if table.subset in REPORTED),
        )


class DrawnLungs:
    """The lungs of drawn films, known because they were drawn."""

    def __init__(self, films: Sequence[OverlapPhantom]) -> None:
        self._lungs = {film.grey.tobytes(): film.lungs for film in films if film.lungs is not None}

    def fields(self, grey: NDArray[np.uint8]) -> LungFields:
        """Give the lungs of one of the films."""
        height, width = grey.shape
        lungs = self._lungs[grey.tobytes()].astype(np.float32)
        return LungFields(lungs, (0.0, 0.0, float(width), float(height)), height, width)
