"""What a training step is fed with: films drawn by their weights, changed at random, with their lungs and groups."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.augmentation import augmented, without_lungs, without_surroundings
from training.datasets import Film
from training.loading import IN_LUNGS, VISIBLE, LoadedFilm
from training.recipe import Recipe

_MEAN: Final = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
_STD: Final = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
_LARGEST_GROWTH: Final = 0.06
_BLACK_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's input.

    Attributes
    ----------
    films
        ``(N, 3, S, S)`` normalised.
    targets, weights
        ``(N, K)`` and ``(N,)``.
    lungs
        ``(N, S, S)`` in 0..1; None where the recipe needs none.
    undecided
        ``(N,)`` bool: the lungs are blacked out, nothing can be said.
    indices
        ``(N,)`` positions of the films in the training part.
    """

    films: Tensor
    targets: Tensor
    weights: Tensor
    lungs: Tensor | None
    undecided: Tensor
    indices: NDArray[np.int64]


def cell_of(film: Film, row: NDArray[np.float32]) -> tuple[str, ...]:
    """Name a film's (source, labels) cell."""
    return (film.source, *("?" if np.isnan(v) else str(int(v)) for v in row))


def drawing_weights(films: list[Film], targets: NDArray[np.float32], recipe: Recipe) -> NDArray[np.float64]:
    """Probability of drawing each film: (cell size) ** -balance, times its source's weight."""
    cells = [cell_of(film, row) for film, row in zip(films, targets, strict=True)]
    sizes: dict[tuple[str, ...], int] = {}
    for cell in cells:
        sizes[cell] = sizes.get(cell, 0) + 1
    weights = np.array(
        [sizes[cell] ** -recipe.balance * recipe.source_weights.get(cell[0], 1.0) for cell in cells], np.float64
    )
    chances: NDArray[np.float64] = weights / weights.sum()
    return chances


def to_batch(inputs: NDArray[np.float32]) -> Tensor:
    """Grey inputs ``(N, H, W)`` in 0..1 to normalised ``(N, 3, H, W)``."""
    grey = torch.from_numpy(inputs).unsqueeze(1)
    return ((grey - _MEAN) / _STD).contiguous(memory_format=torch.channels_last)


class BatchDrawer:
    """Draws an epoch's batches, one ahead of the step that uses it.

    Parameters
    ----------
    recipe
        What is drawn and how it is changed.
    films, targets
        The training part and its targets ``(N, K)``.
    """

    def __init__(self, recipe: Recipe, films: list[Film], targets: NDArray[np.float32]) -> None:
        self._recipe, self._films, self._targets = recipe, films, targets

    def epoch(self, number: int, loaded: list[LoadedFilm], size_px: int) -> Iterator[Batch]:
        """Give the batches of one epoch; the same ones for the same number and seed."""
        recipe = self._recipe
        random = np.random.default_rng((recipe.seed, number))
        if recipe.draws_per_epoch is None:
            drawn = random.permutation(len(loaded))
        else:
            chance = drawing_weights(self._films, self._targets, recipe)
            drawn = random.choice(len(loaded), recipe.draws_per_epoch, p=chance)
        chunks = [drawn[i : i + recipe.batch_size] for i in range(0, len(drawn), recipe.batch_size)]
        seeds = [int(seed) for seed in random.integers(0, 2**63, len(chunks))]
        with ThreadPoolExecutor(1) as pool:
            pending = pool.submit(self._batch, chunks[0], seeds[0], loaded, size_px)
            for k in range(len(chunks)):
                batch = pending.result()
                if k + 1 < len(chunks):
                    pending = pool.submit(self._batch, chunks[k + 1], seeds[k + 1], loaded, size_px)
                yield batch

    def _batch(self, chunk: NDArray[np.int64], seed: int, loaded: list[LoadedFilm], size_px: int) -> Batch:
        recipe, random = self._recipe, np.random.default_rng(seed)
        views = [self._view(int(i), loaded[int(i)], size_px, random) for i in chunk]
        canvases = [canvas for canvas, _ in views]
        undecided = np.zeros(len(chunk), bool)
        planes = [plane for _, plane in views if plane is not None]
        masks = [(plane > (VISIBLE + IN_LUNGS) / 2).astype(np.float32) for plane in planes]
        if len(planes) == len(chunk):
            if recipe.crop == "lungs-only":
                canvases = [
                    canvas * np.minimum(plane / np.float32(VISIBLE), np.float32(1))
                    for canvas, plane in zip(canvases, planes, strict=True)
                ]
            canvases, undecided = self._hide_parts(canvases, masks, random)
        noisy = np.array([self._films[int(i)].noisy for i in chunk])
        weights = np.where(noisy, recipe.noisy_label_weight, 1.0).astype(np.float32)
        return Batch(
            to_batch(np.stack(canvases)),
            torch.from_numpy(self._targets[chunk]),
            torch.from_numpy(weights),
            torch.from_numpy(np.stack(masks)) if len(masks) == len(chunk) else None,
            torch.from_numpy(undecided),
            chunk,
        )

    def _view(
        self, index: int, loaded: LoadedFilm, size_px: int, random: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Give a film as the network is fed with it, and its lungs."""
        if self._recipe.trains_as_served:
            return loaded.grey.astype(np.float32) / np.float32(255), None
        squashed = self._films[index].squashed
        return augmented(loaded.grey, size_px, self._recipe.augmentation, random, squashed, loaded.lungs)

    def _hide_parts(
        self, canvases: list[NDArray[np.float32]], masks: list[NDArray[np.float32]], random: np.random.Generator
    ) -> tuple[list[NDArray[np.float32]], NDArray[np.bool_]]:
        """Swap surroundings, black lungs out; which films are then undecided."""
        settings = self._recipe.shortcuts
        hidden, undecided = [], np.zeros(len(canvases), bool)
        for k, (canvas, lungs) in enumerate(zip(canvases, masks, strict=True)):
            chance = random.random()
            grow_px = int(random.uniform(0, _LARGEST_GROWTH) * canvas.shape[0])
            if chance < settings.blackout_lungs:
                undecided[k] = True
                hidden.append(without_lungs(canvas, lungs, grow_px))
            elif chance < settings.blackout_lungs + settings.swap_surroundings:
                other = None if random.random() < _BLACK_SHARE else canvases[int(random.integers(len(canvases)))]
                hidden.append(without_surroundings(canvas, lungs, other, grow_px))
            else:
                hidden.append(canvas)
        return hidden, undecided
