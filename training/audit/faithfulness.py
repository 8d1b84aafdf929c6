"""Do the maps name the places that decide? Cells are taken away, and put back, in the order of a map.

What is watched is the margin between the experts, s1 - s2, where s is an expert's logit 1 minus its logit 0: the class
of interest against the overlapping class. Never rank values of alpha by it: the order of the cells is the same for
every alpha, so the areas are the same, and a comparison of blurred maps rewards blur (SPEC 6.5).

References
----------
Petsiuk et al., RISE, BMVC 2018: deletion and insertion. https://arxiv.org/abs/1806.07421
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from tqdm import tqdm

from app.domain.activation_map import positive_share
from app.domain.arrays import FloatMap
from app.domain.directed_divergence import DEFAULT_ALPHA, directed_divergence
from app.domain.errors import ImageRefusedError
from app.domain.preprocessing import InputSpecification, Placement
from training.audit.estimates import Estimated, PatientDraws, Values
from training.audit.expert_pair import Expert, FindsLungs, Inputs, film_maps, prepare
from training.datasets import Film, read_grey

MOST_FILMS: Final = 30
STEPS: Final = 6
RANDOM_ORDERS: Final = 2
RANDOM: Final = "random order"
Filling = Literal["blurred film", "black"]
FILLINGS: Final[tuple[Filling, ...]] = ("blurred film", "black")

Order = NDArray[np.intp]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FaithfulnessResult(_Part):
    """One order of the cells under one filling; areas are mean margins over the share of cells, in logits.

    ``deletion`` is the margin while the first cells of the order are taken away, less the whole film's: the lower, the
    more faithful. ``insertion`` is the margin while they are put back, less the emptied film's: the higher the better.
    ``…_over_random`` is the difference from random orders of the same film, ``…_over_cam`` from the interest's own map.
    """

    order: str
    filling: Filling
    deletion: Estimated
    insertion: Estimated
    deletion_over_random: Estimated
    insertion_over_random: Estimated
    deletion_over_cam: Estimated
    insertion_over_cam: Estimated


class FaithfulnessReport(_Part):
    """Everything measured for one pair of experts, as ``report.json`` keeps it; never to choose alpha by."""

    interest: str
    overlap: str
    films: int
    patients: int
    both_positive: int
    steps: int
    margin: str
    margin_of_films: Estimated
    results: tuple[FaithfulnessResult, ...]

    def result(self, order: str, filling: Filling) -> FaithfulnessResult:
        """Give one result; StopIteration if there is none."""
        return next(r for r in self.results if (r.order, r.filling) == (order, filling))


def measure_faithfulness(
    interest: Expert, overlap: Expert, films: Sequence[Film], lungs: FindsLungs | None = None
) -> FaithfulnessReport:
    """Take cells away and put them back in the order of ADDK, of the interest's own map, and at random.

    Parameters
    ----------
    interest, overlap
        The experts of the class of interest and of the overlapping class; fed alike.
    films
        Films of a part that may be read; the first `MOST_FILMS` that are not refused are taken.
    lungs
        Finds the lungs; None where there is no lungs model.
    """
    greys = ((film.group, read_grey(film.path)) for film in films[: 2 * MOST_FILMS])
    return measure_faithfulness_of(interest, overlap, list(greys), lungs)


def measure_faithfulness_of(
    interest: Expert,
    overlap: Expert,
    greys: Sequence[tuple[str, NDArray[np.uint8]]],
    lungs: FindsLungs | None = None,
    steps: int = STEPS,
) -> FaithfulnessReport:
    """Do as `measure_faithfulness` for films in memory: the leak-proof unit and the pixels ``(H, W)`` of each."""
    if overlap.specification != interest.specification:
        raise ValueError(f"{interest.name} and {overlap.name} are fed differently")

    def margins(inputs: Inputs) -> Values:
        one, other = interest.explain(inputs)[0].astype(np.float64), overlap.explain(inputs)[0].astype(np.float64)
        difference: Values = (one[:, 1] - one[:, 0]) - (other[:, 1] - other[:, 0])
        return difference

    groups: list[str] = []
    starts: list[float] = []
    both = 0
    areas: dict[tuple[str, Filling], list[tuple[float, float]]] = {}
    for number, (group, grey) in enumerate(tqdm(greys, desc="taking cells away", leave=False, disable=not greys)):
        if len(groups) == MOST_FILMS:
            break
        try:
            maps = film_maps(interest, overlap, grey, lungs)
            inputs = prepare(grey, interest.specification, lungs).inputs
        except ImageRefusedError:
            continue
        groups.append(group)
        starts.append(maps.margins[0] - maps.margins[1])
        both += all(maps.positive)
        cells = cells_on_film(maps.interest.shape, maps.placement)
        orders = _orders(interest.name, overlap.name, maps.interest, maps.overlap, cells, number)
        for filling in FILLINGS:
            curves = Curves(margins, inputs, emptied_input(inputs, filling, interest.specification, len(maps.interest)))
            for name, several in orders.items():
                found = np.array([curves.areas(order, maps.interest.shape, steps) for order in several])
                areas.setdefault((name, filling), []).append((float(found[:, 0].mean()), float(found[:, 1].mean())))
    draws = PatientDraws(groups)
    return FaithfulnessReport(
        interest=interest.name,
        overlap=overlap.name,
        films=draws.films,
        patients=draws.patients,
        both_positive=both,
        steps=steps,
        margin=f"logit of {interest.name} minus logit of {overlap.name}, each its logit 1 minus its logit 0",
        margin_of_films=draws.mean(np.array(starts)),
        results=tuple(_results(draws, areas, f"CAM {interest.name}")),
    )


def _orders(interest: str, overlap: str, x: FloatMap, y: FloatMap, cells: Order, seed: int) -> dict[str, list[Order]]:
    """Orders of the cells on the film, the highest first; ties keep the order of the grid."""
    random = np.random.default_rng(seed)

    def by(values: FloatMap) -> list[Order]:
        return [cells[np.argsort(-values.ravel()[cells], kind="stable")]]

    return {
        f"CAM {interest}": by(positive_share(x)),
        f"ADDK {interest} over {overlap}": by(directed_divergence(x, y, DEFAULT_ALPHA).log_k),
        "raw difference": by(x - y),
        RANDOM: [random.permutation(cells) for _ in range(RANDOM_ORDERS)],
    }


def cells_on_film(shape: tuple[int, ...], placement: Placement) -> Order:
    """List the cells of which at least a part is not padding, by their index in the flattened grid."""
    rows, columns = shape
    size = placement.size_px
    bottom, right = placement.top_px + placement.height_px, placement.left_px + placement.width_px
    row, column = np.divmod(np.arange(rows * columns), columns)
    inside = ((row + 1) * size / rows > placement.top_px) & (row * size / rows < bottom)
    inside &= ((column + 1) * size / columns > placement.left_px) & (column * size / columns < right)
    return np.nonzero(inside)[0]


def emptied_input(inputs: Inputs, filling: Filling, specification: InputSpecification, cells: int) -> Inputs:
    """Make the input of which nothing is left, ``(1, C, S, S)``: blurred over the size of a cell, or black."""
    if filling == "black":
        black = [(0.0 - mean) / std for mean, std in zip(specification.mean, specification.std, strict=True)]
        return np.broadcast_to(np.array(black, np.float32)[None, :, None, None], inputs.shape).copy()
    spread = inputs.shape[-1] / cells
    return np.stack([cv2.GaussianBlur(channel, (0, 0), spread) for channel in inputs[0]])[None].astype(np.float32)


class Curves:
    """The margin of one film while its cells are taken away, and while they are put back.

    Parameters
    ----------
    margins
        Inputs ``(N, C, S, S)`` to ``(N,)``.
    inputs, emptied
        ``(1, C, S, S)`` the film, and what is left of it when every cell is taken away.
    """

    def __init__(self, margins: Callable[[Inputs], Values], inputs: Inputs, emptied: Inputs) -> None:
        self._margins, self._inputs, self._emptied = margins, inputs, emptied
        self._whole, self._nothing = (float(margins(each)[0]) for each in (inputs, emptied))

    def areas(self, order: Order, shape: tuple[int, ...], steps: int) -> tuple[float, float]:
        """Average the change of the margin over the share of cells taken away, and put back (trapezoid rule).

        Parameters
        ----------
        order
            Cells of the flattened grid; those that it lacks are never touched.
        shape
            Of the grid.
        steps
            In how many parts the cells go.

        Returns
        -------
        deletion, insertion
            In logits: less the margin of the whole film, and less that of the emptied one.
        """
        counts = np.rint(np.linspace(0, order.size, steps + 1)).astype(int)
        chosen = np.zeros((steps - 1, int(np.prod(shape))), np.float32)
        for step, count in enumerate(counts[1:-1]):
            chosen[step, order[:count]] = 1.0
        size = self._inputs.shape[-1]
        rows, columns = (np.arange(size) * cells // size for cells in shape)
        masks = chosen.reshape(-1, 1, *shape)[:, :, rows][:, :, :, columns]
        change = self._emptied - self._inputs
        values = self._margins(np.concatenate([self._inputs + masks * change, self._emptied - masks * change]))
        share = counts / order.size
        deletion = np.concatenate([[self._whole], values[: steps - 1], [self._nothing]]) - self._whole
        insertion = np.concatenate([[self._nothing], values[steps - 1 :], [self._whole]]) - self._nothing
        return float(np.trapezoid(deletion, share)), float(np.trapezoid(insertion, share))


def _results(
    draws: PatientDraws, areas: dict[tuple[str, Filling], list[tuple[float, float]]], cam: str
) -> Iterator[FaithfulnessResult]:
    for (order, filling), found in areas.items():
        deletion, insertion = np.array(found).T
        random_deletion, random_insertion = np.array(areas[RANDOM, filling]).T
        cam_deletion, cam_insertion = np.array(areas[cam, filling]).T
        yield FaithfulnessResult(
            order=order,
            filling=filling,
            deletion=draws.mean(deletion),
            insertion=draws.mean(insertion),
            deletion_over_random=draws.difference(deletion, random_deletion),
            insertion_over_random=draws.difference(insertion, random_insertion),
            deletion_over_cam=draws.difference(deletion, cam_deletion),
            insertion_over_cam=draws.difference(insertion, cam_insertion),
        )
