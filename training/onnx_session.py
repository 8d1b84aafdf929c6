"""Released networks run as serving runs them: ONNX Runtime on the CPU. The only module here that imports it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tqdm import tqdm

from app.domain.errors import ImageRefusedError
from app.domain.preprocessing import InputSpecification, to_network_input
from app.domain.radiograph import Provenance, Radiograph
from training.datasets import Film, read_grey
from training.onnx_graph import INPUT_NAME, OUTPUT_NAMES

Inputs = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What an exported network returns: ``(N, K)``, ``(N, C, h, w)`` and ``(N, K, h, w)``."""

    logits: NDArray[np.float32]
    features: NDArray[np.float32]
    cam: NDArray[np.float32]


class ExportedNetwork:
    """One ``model.onnx`` in a session."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # a training run may share the cores
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def outputs(self, films: Inputs) -> Outputs:
        """Compute all outputs of ``(N, 3, S, S)`` inputs."""
        return Outputs(*self._session.run(list(OUTPUT_NAMES), {INPUT_NAME: films}))

    def logits(self, films: Inputs) -> NDArray[np.float32]:
        """Compute only the logits ``(N, K)``."""
        (logits,) = self._session.run([OUTPUT_NAMES[0]], {INPUT_NAME: films})
        values: NDArray[np.float32] = logits
        return values


def serving_input(grey: NDArray[np.uint8], specification: InputSpecification) -> Inputs:
    """Prepare one decoded film, ``(1, C, S, S)``, by the very function that serving calls."""
    return to_network_input(Radiograph(grey, Provenance("png", "")), specification)[0]


def serving_batches(
    films: Sequence[Film], specification: InputSpecification, batch_size: int = 16
) -> Iterator[tuple[list[int], Inputs]]:
    """Decode and prepare films in batches, with a progress bar.

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
            inputs.append(serving_input(read_grey(film.path), specification))
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
    network: ExportedNetwork, films: Sequence[Film], specification: InputSpecification, kind: str
) -> NDArray[np.float64]:
    """Score films through an exported network.

    Returns
    -------
    ndarray
        ``(N, K)`` as `raw_scores`; NaN rows for films that serving refuses.
    """
    scores: NDArray[np.float64] | None = None
    for indices, inputs in serving_batches(films, specification):
        values = raw_scores(network.logits(inputs), kind)
        if scores is None:
            scores = np.full((len(films), values.shape[1]), np.nan)
        scores[indices] = values
    if scores is None:
        raise ValueError("there is no film to score")
    return scores
