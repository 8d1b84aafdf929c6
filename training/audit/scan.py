"""One pass of a network over films: as they are, with the lungs blacked out, and with nothing but the lungs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from app.domain.arrays import NetworkInput
from app.domain.errors import ImageRefusedError
from app.domain.lung_input import to_lung_input, visible_lungs
from app.domain.lungs import LungFields, lung_window
from app.domain.preprocessing import InputSpecification, Placement, Rectangle
from app.domain.radiograph import Provenance, Radiograph
from training.audit.subject import Subject
from training.datasets import Film, read_grey
from training.lung_finder import LungFinder, lungs_for
from training.onnx_session import raw_scores

Values = NDArray[np.float64]
Variant = Literal["untouched", "lungs_blacked_out", "only_lungs"]
VARIANTS: Final[tuple[Variant, ...]] = ("untouched", "lungs_blacked_out", "only_lungs")
_BATCH: Final = 16


@dataclass(frozen=True, slots=True)
class Scan:
    """What a network says of films; rows of films that were refused are NaN.

    Attributes
    ----------
    scores
        By variant, ``(N, K)`` as `training.onnx_session.raw_scores`. Rows of films on which not both lungs were found
        are NaN in the blacked-out variants.
    pooled
        ``(N, C)`` features after global average pooling, of the untouched film.
    cam
        ``(N, K', h, w)`` class activation maps of the untouched film, one a logit.
    placements
        Where each film lies in its input; None where it was refused.
    lungs
        None where not both lungs were found, or nothing but the untouched film was asked for.
    grid_px
        The rectangle of the input, in its pixels, that the maps' grid covers; None is all of it.
    """

    scores: dict[Variant, Values]
    pooled: NDArray[np.float32]
    cam: NDArray[np.float32]
    placements: tuple[Placement | None, ...]
    lungs: tuple[LungFields | None, ...]
    grid_px: Rectangle | None = None

    @property
    def refused(self) -> int:
        """Films without a score."""
        return sum(placement is None for placement in self.placements)


def variant_input(
    films: NetworkInput,
    placement: Placement,
    variant: Variant,
    specification: InputSpecification,
    lungs: LungFields | None,
) -> NetworkInput | None:
    """Black out a part of one film's input.

    What is blacked out becomes what the padding is, 0 after the intensities were stretched; nothing else changes. The
    lungs are those that `app.domain.lung_input.visible_lungs` keeps, so ``only_lungs`` is what a network is fed with
    that sees nothing but lungs, and the other variant is the rest.

    Parameters
    ----------
    films
        ``(1, C, S, S)`` as serving makes it.
    placement
        Where the film lies in it.
    variant
        What to keep.
    specification
        The network's input.
    lungs
        Of the film.

    Returns
    -------
    NetworkInput or None
        None where lungs are needed and there are none.
    """
    if variant == "untouched":
        return films
    if lungs is None:
        return None
    visible = visible_lungs(lungs, placement.extent, specification.size_px, specification.size_px)
    kept = visible if variant == "only_lungs" else 1.0 - visible
    black = -np.array(specification.mean, np.float32) / np.array(specification.std, np.float32)
    shade = black[None, :, None, None]
    blackened: NetworkInput = (shade + (films - shade) * kept).astype(np.float32)
    return blackened


def found_lungs(film: Film, finder: LungFinder | None) -> LungFields | None:
    """Give the lungs of a film; None where not both were found or there is no finder."""
    if finder is None:
        return None
    fields = finder.of(film)
    return fields if lung_window(fields, 0.0) is not None else None


class _Rows:
    """Rows of an array that is made when its width is known."""

    def __init__(self, count: int) -> None:
        self.count, self.array = count, np.empty(0, np.float32)

    def put(self, indices: Sequence[int], values: NDArray[np.float32] | Values) -> None:
        """Write some rows; those never written stay NaN."""
        if self.array.size == 0:
            self.array = np.full((self.count, *values.shape[1:]), np.nan, values.dtype)
        self.array[list(indices)] = values


def scan(
    subject: Subject, films: Sequence[Film], lungs: LungFinder | None, variants: Sequence[Variant] = VARIANTS
) -> Scan:
    """Run a network over films, each decoded once.

    Parameters
    ----------
    subject
        The network.
    films
        At least one that is not refused.
    lungs
        Finds the lungs; None where there is no network for it, and then only ``untouched`` has scores.
    variants
        What to feed, ``untouched`` among it.

    Returns
    -------
    Scan
        See there.

    Raises
    ------
    ValueError
        If every film is refused.
    """
    count = len(films)
    scores = {variant: _Rows(count) for variant in variants}
    pooled, cam = _Rows(count), _Rows(count)
    placements: list[Placement | None] = [None] * count
    fields: list[LungFields | None] = [None] * count
    held: list[tuple[int, NetworkInput, Placement]] = []

    def run() -> None:
        for variant in variants:
            made = [
                (k, variant_input(one, placement, variant, subject.specification, fields[k]))
                for k, one, placement in held
            ]
            fed = [(k, one) for k, one in made if one is not None]
            if not fed:
                continue
            indices, inputs = [k for k, _ in fed], np.concatenate([one for _, one in fed])
            if variant == "untouched":
                outputs = subject.network.outputs(inputs)
                pooled.put(indices, outputs.features.mean(axis=(2, 3)))
                cam.put(indices, outputs.cam)
                logits = outputs.logits
            else:
                logits = subject.network.logits(inputs)
            scores[variant].put(indices, raw_scores(logits, subject.kind))
        held.clear()

    for index, film in enumerate(tqdm(films, desc=f"auditing {subject.name}", unit="film", leave=False)):
        try:
            cropped_to = lungs_for(film, subject.specification, lungs)
            fields[index] = found_lungs(film, lungs) if len(variants) > 1 else None
            grey = Radiograph(read_grey(film.path), Provenance("png", ""))
            one, placement = to_lung_input(grey, subject.specification, cropped_to)
        except ImageRefusedError:
            continue
        placements[index] = placement
        held.append((index, one, placement))
        if len(held) == _BATCH:
            run()
    run()
    if all(placement is None for placement in placements):
        raise ValueError("there is no film to score")
    nothing = np.full((count, len(subject.labels)), np.nan)
    return Scan(
        {name: rows.array.astype(np.float64) if rows.array.size else nothing for name, rows in scores.items()},
        pooled.array,
        cam.array,
        tuple(placements),
        tuple(fields),
    )
