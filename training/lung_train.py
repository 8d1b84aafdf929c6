"""Training of the lung network: from drawn masks first, then also from its own masks of the films nobody drew.

A round of self-training labels the films without a mask with the network itself: three framings of a film must agree,
and both lungs must be of plausible size and shape (Xie et al., CVPR 2020, with a plausibility test in place of the
confidence).
"""

import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from app.domain.preprocessing import place
from training.datasets import Film, read_grey, shrunk
from training.lung_films import LungReference, lung_masks
from training.lung_finder import LUNG_INPUT
from training.lung_network import LungNetwork
from training.lung_views import LungExample, LungView, lung_view

CHECKPOINT: Final = "lungs.pt"
_LONGER_SIDE_PX: Final = 208
_FRAMES: Final = (0.0, 0.06, 0.12)


class Round(BaseModel):
    """Some epochs; ``relabel`` first gives the films without a mask the network's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(gt=0)
    draws: int = Field(default=3600, gt=0)
    learning_rate: float = Field(gt=0)
    drawn_share: float = Field(ge=0, le=1)
    relabel: bool = False


class LungRecipe(BaseModel):
    """What decides a training run of the lung network.

    Attributes
    ----------
    rounds
        In order.
    batch_size
        Views a step.
    non_film_share
        Share of the views that show no film at all.
    least_solidity, least_agreement
        A film is labelled by the network only if each lung fills its convex hull by so much, and the masks of three
        framings have at least this Dice coefficient with each other.
    least_area, largest_area
        Of a lung, as a share of the film, to be labelled by the network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rounds: tuple[Round, ...] = (
        Round(epochs=14, draws=2400, learning_rate=3e-3, drawn_share=0.5),
        Round(epochs=16, learning_rate=2.5e-3, drawn_share=0.25, relabel=True),
        Round(epochs=8, learning_rate=2e-3, drawn_share=0.25, relabel=True),
        Round(epochs=9, learning_rate=1.5e-3, drawn_share=0.25, relabel=True),
    )
    batch_size: int = Field(default=48, gt=0)
    non_film_share: float = Field(default=0.14, ge=0, lt=1)
    weight_decay: float = Field(default=1e-2, ge=0)
    least_solidity: float = Field(default=0.86, ge=0, le=1)
    least_agreement: float = Field(default=0.9, ge=0, le=1)
    least_area: float = Field(default=0.045, ge=0, le=1)
    largest_area: float = Field(default=0.35, ge=0, le=1)
    seed: int = 1


@dataclass(frozen=True, slots=True)
class LungExamples:
    """Everything the network is trained on; ``weights`` say how often a film or a picture is drawn."""

    films: list[LungExample]
    film_weights: NDArray[np.float64]
    others: list[LungExample]
    other_weights: NDArray[np.float64]


def load_examples(
    films: Sequence[Film], references: dict[Path, LungReference], pictures: Sequence[tuple[NDArray[np.uint8], float]]
) -> LungExamples:
    """Read the training part's films with their masks, and pictures that are no films, each with its weight."""
    examples, sources = [], [film.source for film in films]
    for film in tqdm(films, desc="reading films", unit="film"):
        grey = shrunk(read_grey(film.path), _LONGER_SIDE_PX)
        drawn = lung_masks(film, references[film.path]) if film.path in references else None
        child = math.nan if film.paediatric is None else float(film.paediatric)
        examples.append(LungExample(grey, None if drawn is None else _resized(drawn, grey.shape), True, child))
    weights = np.array([sources.count(source) ** -0.5 for source in sources])
    others = [LungExample(shrunk(picture, _LONGER_SIDE_PX), None, False) for picture, _ in pictures]
    shares = np.array([weight for _, weight in pictures], np.float64)
    return LungExamples(examples, weights / weights.sum(), others, shares / max(shares.sum(), 1e-9))


def _resized(masks: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    size = (shape[1], shape[0])
    planes = [cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) for mask in masks]
    return np.stack(planes).astype(np.uint8)


def lung_loss(network: LungNetwork, views: Sequence[LungView]) -> Tensor:
    """Cross-entropy and Dice loss of the masks that are known, and cross-entropies of the facts."""
    films = torch.from_numpy((np.stack([view.canvas for view in views]) - LUNG_INPUT.mean[0]) / LUNG_INPUT.std[0])
    with torch.autocast("cpu", torch.bfloat16):
        facts, masks = network(films[:, None].float().contiguous(memory_format=torch.channels_last))
    facts, masks = facts.float(), masks.float()
    known = torch.tensor([view.lungs is not None for view in views])
    loss = torch.zeros(())
    if known.any():
        truth = torch.from_numpy(np.stack([view.lungs for view in views if view.lungs is not None]))
        probability = torch.sigmoid(masks[known])
        cross = functional.binary_cross_entropy_with_logits(masks[known], truth)
        both = (probability * truth).sum((2, 3))
        dice = 1 - (2 * both + 8) / (probability.sum((2, 3)) + truth.sum((2, 3)) + 8)
        loss = loss + 2 * (cross + 0.5 * dice.mean())
    frontal = torch.tensor([view.frontal for view in views])
    told = functional.binary_cross_entropy_with_logits(facts[:, 0], frontal * 0.98 + 0.01)
    of_films = torch.tensor([[view.inverted, view.rotated] for view in views])
    each = functional.binary_cross_entropy_with_logits(facts[:, 1:3], of_films, reduction="none")
    told = told + (each * frontal[:, None]).sum() / (2 * frontal.sum()).clamp_min(1)
    child = torch.tensor([view.paediatric for view in views])
    if (aged := ~torch.isnan(child)).any():
        told = told + 0.5 * functional.binary_cross_entropy_with_logits(facts[aged, 3], child[aged])
    total: Tensor = loss + 0.4 * told
    return total


class LungRun:
    """A training run of the lung network in a directory; it carries on after the last finished round."""

    def __init__(self, recipe: LungRecipe, examples: LungExamples, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.recipe, self.examples, self.directory = recipe, examples, directory
        torch.manual_seed(recipe.seed)
        self.network: LungNetwork = LungNetwork().to(memory_format=torch.channels_last)
        self.drawn = [k for k, example in enumerate(examples.films) if example.lungs is not None]
        if not self.drawn:
            raise ValueError("no film of part train has a mask of the lungs")
        if recipe.non_film_share and not examples.others:
            raise ValueError("there is no picture that is no film; give a folder of some, or a non_film_share of 0")
        self.finished = 0
        self.labelled: list[int] = []

    def train(self) -> dict[str, Any]:  # Any: a JSON object
        """Train all rounds and return the run's record, also written as ``run.json``."""
        path = self.directory / CHECKPOINT
        if path.is_file():
            state = torch.load(path, map_location="cpu", weights_only=True)
            if state["recipe"] != self.recipe.model_dump_json():
                raise ValueError(f"{self.directory} holds a run of another recipe; choose another directory")
            self.network.load_state_dict(state["network"])
            self.finished, self.labelled = state["finished"], state["labelled"]
        for number in range(self.finished, len(self.recipe.rounds)):
            one = self.recipe.rounds[number]
            films = self._relabelled() if one.relabel else self.examples.films
            self.labelled.append(sum(film.lungs is not None for film in films))
            for epoch in range(one.epochs):
                self._epoch(number, epoch, films)
            self.finished = number + 1
            state = {
                "network": self.network.state_dict(),
                "finished": self.finished,
                "labelled": self.labelled,
                "recipe": self.recipe.model_dump_json(),
            }
            torch.save(state, path)
        record = {
            "recipe": self.recipe.model_dump(mode="json"),
            "films": len(self.examples.films),
            "films_with_drawn_masks": len(self.drawn),
            "films_with_masks_per_round": self.labelled,
            "non_films": len(self.examples.others),
        }
        (self.directory / "run.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        return record

    def _epoch(self, number: int, epoch: int, films: list[LungExample]) -> None:
        one = self.recipe.rounds[number]
        steps = max(1, one.draws // self.recipe.batch_size)
        if epoch == 0:
            self.optimiser = torch.optim.AdamW(
                self.network.parameters(), one.learning_rate, weight_decay=self.recipe.weight_decay
            )
            self.schedule = torch.optim.lr_scheduler.OneCycleLR(
                self.optimiser, one.learning_rate, total_steps=steps * one.epochs, pct_start=0.2
            )
        self.network.train()
        total = 0.0
        with ThreadPoolExecutor(1) as pool:
            pending = pool.submit(self._views, (number, epoch, 0), films)
            for step in tqdm(range(steps), f"round {number + 1}, epoch {epoch + 1}", leave=False, unit="batch"):
                views = pending.result()
                if step + 1 < steps:
                    pending = pool.submit(self._views, (number, epoch, step + 1), films)
                loss = lung_loss(self.network, views)
                self.optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]  # torch's gap
                self.optimiser.step()
                self.schedule.step()
                total += float(loss.detach())
        tqdm.write(f"round {number + 1}/{len(self.recipe.rounds)} epoch {epoch + 1}/{one.epochs} {total / steps:.4f}")

    def _views(self, seed: tuple[int, int, int], films: list[LungExample]) -> list[LungView]:
        random = np.random.default_rng((self.recipe.seed, *seed))
        examples, views = self.examples, []
        for _ in range(self.recipe.batch_size):
            chance, any_film = random.random(), films[int(random.choice(len(films), p=examples.film_weights))]
            example = any_film
            if chance < self.recipe.non_film_share:
                example = examples.others[int(random.choice(len(examples.others), p=examples.other_weights))]
            elif chance < self.recipe.non_film_share + self.recipe.rounds[seed[0]].drawn_share:
                example = films[int(random.choice(self.drawn))]
            views.append(lung_view(example, any_film.grey, LUNG_INPUT.size_px, random))
        return views

    def _relabelled(self) -> list[LungExample]:
        self.network.eval()
        films = self.examples.films
        told = tqdm(films, "labelling films", unit="film", leave=False)
        return [
            film if film.lungs is not None else replace(film, lungs=own_masks(self.network, film.grey, self.recipe))
            for film in told
        ]


def own_masks(network: LungNetwork, grey: NDArray[np.uint8], recipe: LungRecipe) -> NDArray[np.uint8] | None:
    """Give the network's own masks of a film, ``(2, H, W)`` uint8; None where they are not to be trusted."""
    height, width = grey.shape
    found = []
    for frame in _FRAMES:
        top, left = int(height * frame), int(width * frame)
        framed = cv2.copyMakeBorder(grey, top, top, left, left, cv2.BORDER_CONSTANT, value=0).astype(np.uint8)
        found.append(predicted(network, framed)[:, top : top + height, left : left + width])
    masks = [_solid(plane >= 0.5) for plane in np.mean(found, axis=0)]
    agreements = [dice(one >= 0.5, other >= 0.5) for one in found for other in found]
    areas = [float(mask.mean()) for mask, _ in masks]
    trusted = (
        min(solidity for _, solidity in masks) >= recipe.least_solidity
        and min(agreements) >= recipe.least_agreement
        and recipe.least_area <= min(areas)
        and max(areas) <= recipe.largest_area
    )
    return np.stack([mask.astype(np.uint8) * 255 for mask, _ in masks]) if trusted else None


def predicted(network: LungNetwork, grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities of both lungs over a film, ``(2, H, W)``."""
    size_px = LUNG_INPUT.size_px
    placed = place(grey.shape[0], grey.shape[1], size_px)
    low, high = np.percentile(grey, (1, 99))
    canvas = np.zeros((size_px, size_px), np.float32)
    inside = np.s_[placed.top_px : placed.top_px + placed.height_px, placed.left_px : placed.left_px + placed.width_px]
    small = cv2.resize(grey, (placed.width_px, placed.height_px), interpolation=cv2.INTER_AREA).astype(np.float32)
    canvas[inside] = np.clip((small - low) / max(float(high - low), 1.0), 0, 1)
    with torch.inference_mode():
        films = torch.from_numpy((canvas - LUNG_INPUT.mean[0]) / LUNG_INPUT.std[0]).float()
        planes = torch.sigmoid(network(films[None, None])[1])[0].numpy()
    size = (grey.shape[1], grey.shape[0])
    return np.stack([cv2.resize(cv2.resize(plane, (size_px, size_px))[inside], size) for plane in planes])


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Dice coefficient of two masks; 0 where both are empty."""
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))


def _solid(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], float]:
    """Give the largest area, opened, and how much of its convex hull it fills."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count == 1:
        return mask, 0.0
    largest = (labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    opened = cv2.morphologyEx(largest, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9)))
    contours, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return opened > 0, 0.0
    contour = max(contours, key=cv2.contourArea)
    return opened > 0, cv2.contourArea(contour) / max(1.0, cv2.contourArea(cv2.convexHull(contour)))
