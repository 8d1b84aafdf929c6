"""Released networks run as serving runs them: ONNX Runtime on the CPU."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from app.domain.errors import ImageRefusedError
from app.domain.lung_input import to_lung_input
from app.domain.lungs import LungFields
from app.domain.preprocessing import InputSpecification
from app.domain.radiograph import Provenance, Radiograph
from training.datasets import Film, read_grey
from training.lung_finder import LungFinder, lungs_for
from training.onnx_engine import open_session
from training.onnx_graph import INPUT_NAME, OUTPUT_NAMES

Inputs = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What an exported network returns: ``(N, K)``, ``(N, C, h, w)`` and ``(N, K, h, w)``."""

    logits: NDArray[np.float32]
    features: NDArray[np.float32]
    cam: NDArray[np.float32]


class ExportedNetwork:
    """One ``model.onnx`` in a session.

    Parameters
    ----------
    path
        The file.
    threads
        Threads it computes with; 0 leaves it to the engine. One is faster than two where another process computes.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        self._session = open_session(path, threads)

    def outputs(self, films: Inputs) -> Outputs:
        """Compute all outputs of ``(N, 3, S, S)`` inputs."""
        return Outputs(*self._session.run(list(OUTPUT_NAMES), {INPUT_NAME: films}))

    def logits(self, films: Inputs) -> NDArray[np.float32]:
        """Compute only the logits ``(N, K)``."""
        (logits,) = self._session.run([OUTPUT_NAMES[0]], {INPUT_NAME: films})
        values: NDArray[np.float32] = logits
        return values


def serving_input(
    grey: NDArray[np.uint8], specification: InputSpecification, lungs: LungFields | None = None
) -> Inputs:
    """Prepare one decoded film, ``(1, C, S, S)``, by the very function that serving calls."""
    return to_lung_input(Radiograph(grey, Provenance("png", "")), specification, lungs)[0]


def serving_batches(
    films: Sequence[Film],
    specification: InputSpecification,
    batch_size: int = 16,
    lungs: LungFinder | None = None,
) -> Iterator[tuple[list[int], Inputs]]:
    """Decode and prepare films in batches, with a progress bar.

    Parameters
    ----------
    films
        Films to decode.
    specification
        The network's input.
    batch_size
        Films a batch.
    lungs
        Finds the window of a specification that crops to the lungs.

    Yields
    ------
    indices
        Positions in ``films``; those that serving would refuse are left out.
    inputs
        ``(N, C, S, S)``.
    """
    indices: list[int] = []
    inputs: list[Inputs] = []
    for index, film in enumerate(tqdm(films, desc="screening films", unit="film", leave=False, disable=not films)):
        try:
            found = lungs_for(film, specification, lungs)
            inputs.append(serving_input(read_grey(film.path), specification, found))
        except ImageRefusedError:
            continue
        indices.append(index)
        if len(indices) == batch_size:
            yield indices, np.concatenate(inputs)
            indices, inputs = [], []
    if indices:
        yield indices, np.concatenate(inputs)


def raw_scores(logits: NDArray[np.float32], kind: str) -> NDArray[np.float64]:
    """Give what is calibrated, ``(N, K)``: an expert's margin logit1 - logit0 (K = 1), or the logits of a member."""
    wide = logits.astype(np.float64)
    return wide[:, 1:] - wide[:, :1] if kind == "expert" else wide


def score_films(
    network: ExportedNetwork,
    films: Sequence[Film],
    specification: InputSpecification,
    kind: str,
    lungs: LungFinder | None = None,
) -> NDArray[np.float64]:
    """Score films through an exported network.

    Returns
    -------
    ndarray
        ``(N, K)`` as `raw_scores`; NaN rows for films that serving refuses.
    """
    scores: NDArray[np.float64] | None = None
    for indices, inputs in serving_batches(films, specification, lungs=lungs):
        values = raw_scores(network.logits(inputs), kind)
        if scores is None:
            scores = np.full((len(films), values.shape[1]), np.nan)
        scores[indices] = values
    if scores is None:
        raise ValueError("there is no film to score")
    return scores
