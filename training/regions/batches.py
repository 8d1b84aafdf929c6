"""What a step of a region network is fed with: films, classes, and the outlines that are shown."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.augmentation import augmented
from training.batches import to_batch
from training.loading import VISIBLE
from training.regions.examples import TrainingExample
from training.regions.label_ratio import shown_groups
from training.regions.recipe import RegionRecipe

_WHOLE = np.float32(255)


@dataclass(frozen=True, slots=True)
class RegionBatch:
    """One step's input.

    Attributes
    ----------
    films
        ``(N, 3, S, S)`` normalised.
    labels
        ``(N,)`` int64.
    outlined
        ``(M,)`` int64: positions in the batch of the films whose outline is shown.
    outlines
        ``(M, 1, S, S)`` in 0..1.
    """

    films: Tensor
    labels: Tensor
    outlined: Tensor
    outlines: Tensor


def shown(examples: Sequence[TrainingExample], ratio: float, seed: int) -> NDArray[np.bool_]:
    """Say of each example whether its outline is shown, ``(N,)``: patients are chosen, drawn and empty ones apart."""
    drawn = [e.group for e in examples if e.is_drawn_on]
    empty = [e.group for e in examples if e.outline is not None and not e.is_drawn_on]
    chosen = shown_groups(drawn, ratio, seed) | (shown_groups(empty, ratio, seed) - set(drawn))
    return np.array([e.outline is not None and e.group in chosen for e in examples], bool)


def drawing_chances(examples: Sequence[TrainingExample], recipe: RegionRecipe) -> NDArray[np.float64]:
    """Give the probability of drawing each example.

    An example of a (source, class) cell of n counts ``n ** -balance`` times its source's weight; then those on which
    something is drawn are raised to ``outlined_share`` together, whether their outlines are shown or not: the label
    ratio changes what is known of the films, not which films are seen.
    """
    cells = [(e.source, e.label) for e in examples]
    sizes = {cell: cells.count(cell) for cell in set(cells)}
    weights = np.array([sizes[c] ** -recipe.balance * recipe.source_weights.get(c[0], 1.0) for c in cells], np.float64)
    weights /= weights.sum()
    drawn = np.array([e.is_drawn_on for e in examples])
    share = float(weights[drawn].sum())
    if 0.0 < share < recipe.outlined_share:
        weights = np.where(
            drawn, weights * recipe.outlined_share / share, weights * (1 - recipe.outlined_share) / (1 - share)
        )
    return weights


class RegionDrawer:
    """Draws an epoch's batches, one ahead of the step that uses it.

    Parameters
    ----------
    recipe
        What is drawn and how it is changed.
    examples
        The training part.
    """

    def __init__(self, recipe: RegionRecipe, examples: Sequence[TrainingExample]) -> None:
        self._recipe, self._examples = recipe, examples
        self.shown = shown(examples, recipe.label_ratio, recipe.seed)
        self._chances = drawing_chances(examples, recipe)
        self.draws = recipe.draws_per_epoch or len(examples)

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return -(-self.draws // self._recipe.batch_size)

    def epoch(self, number: int) -> Iterator[RegionBatch]:
        """Give the batches of one epoch; the same ones for the same number and seed."""
        recipe = self._recipe
        random = np.random.default_rng((recipe.seed, number))
        if recipe.draws_per_epoch is None:
            drawn = random.permutation(len(self._examples))
        else:
            drawn = random.choice(len(self._examples), recipe.draws_per_epoch, p=self._chances)
        chunks = [drawn[i : i + recipe.batch_size] for i in range(0, len(drawn), recipe.batch_size)]
        seeds = [int(seed) for seed in random.integers(0, 2**63, len(chunks))]
        size_px = recipe.size_at(number)
        with ThreadPoolExecutor(1) as pool:
            pending = pool.submit(self._batch, chunks[0], seeds[0], size_px)
            for k in range(len(chunks)):
                batch = pending.result()
                if k + 1 < len(chunks):
                    pending = pool.submit(self._batch, chunks[k + 1], seeds[k + 1], size_px)
                yield batch

    def _batch(self, chunk: NDArray[np.int64], seed: int, size_px: int) -> RegionBatch:
        random = np.random.default_rng(seed)
        canvases, outlined, outlines = [], [], []
        for position, index in enumerate(chunk):
            canvas, outline = self._view(self._examples[int(index)], size_px, random)
            canvases.append(canvas)
            if self.shown[int(index)]:
                outlined.append(position)
                outlines.append(outline)
        return RegionBatch(
            to_batch(np.stack(canvases)),
            torch.tensor([self._examples[int(index)].label for index in chunk]),
            torch.tensor(outlined, dtype=torch.int64),
            torch.from_numpy(np.stack(outlines)[:, None]) if outlines else torch.zeros(0, 1, size_px, size_px),
        )

    def _view(
        self, example: TrainingExample, size_px: int, random: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Change one film at random, its outline and its lungs moved along."""
        loaded = example.loaded
        outline = example.outline if example.outline is not None else np.zeros_like(loaded.grey)
        left_over = loaded.lungs if loaded.lungs is not None else np.full_like(loaded.grey, 255)
        planes = np.stack([outline, left_over], axis=-1)
        canvas, moved = augmented(loaded.grey, size_px, self._recipe.augmentation, random, example.squashed, planes)
        assert moved is not None
        if self._recipe.crop == "lungs-only":
            canvas = canvas * np.minimum(moved[..., 1] / np.float32(VISIBLE), np.float32(1))
        return canvas, moved[..., 0] / _WHOLE
