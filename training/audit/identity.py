"""Whether the exported network is the trained one, and its maps add up to its answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.inference.manifest import PrecisionEntry
from training.audit.record import Record
from training.audit.scan import Scan
from training.audit.subject import Subject
from training.datasets import Film
from training.export import phantom_inputs, relative_difference, run_torch
from training.lung_finder import LungFinder
from training.onnx_graph import rebuild_network
from training.onnx_session import serving_batches

FILMS: Final = 16
OUTPUTS: Final = ("logits", "features", "cam")


class Identity(Record):
    """Differences that ought to be nothing but rounding.

    Attributes
    ----------
    parity
        ``logits``, ``features``, ``cam``: largest difference of ONNX Runtime to PyTorch, relative to the largest value.
    parity_films
        Inputs compared, two synthetic phantoms among them.
    identity
        Largest ``|mean(cam) + b - score|`` over every film of the part, relative to the largest score (at least 1).
    identity_films
        Films of the part.
    golden
        Largest relative difference of the stored golden answers to the answers of today; None without golden answers.
    precision
        How the weights are stored, and what the gate measured against full precision.
    """

    parity: dict[str, float]
    parity_films: int
    identity: float
    identity_films: int
    golden: float | None
    precision: PrecisionEntry


def cam_identity(scan: Scan, kind: str, bias: NDArray[np.float32]) -> float:
    """Largest difference between a score and the mean of its map plus its bias, relative to the largest score."""
    kept = ~np.isnan(scan.scores["untouched"]).any(axis=1)
    means = scan.cam[kept].mean(axis=(2, 3), dtype=np.float64) + bias
    again = means[:, 1:] - means[:, :1] if kind == "expert" else means
    scores = scan.scores["untouched"][kept]
    return float(np.abs(again - scores).max() / max(1.0, float(np.abs(scores).max())))


def measure_identity(
    subject: Subject,
    scan: Scan,
    films: Sequence[Film],
    *,
    lungs: LungFinder | None,
    precision: PrecisionEntry,
    golden: Path | None = None,
) -> Identity:
    """Compare an exported file with the network that is rebuilt from it in PyTorch.

    Parameters
    ----------
    subject
        The network in its session.
    scan
        Of ``films``.
    films
        Of the part; sixteen of them, evenly spread, are compared in PyTorch.
    lungs
        Finds the lungs where the network is fed with them.
    precision
        From the export.
    golden
        ``golden.npz``.
    """
    network = rebuild_network(subject.model)
    chosen = list(films[:: max(1, len(films) // FILMS)][:FILMS])
    batches = [phantom_inputs(subject.specification)]
    batches += [inputs for _, inputs in serving_batches(chosen, subject.specification, lungs=lungs)]
    parity = dict.fromkeys(OUTPUTS, 0.0)
    for inputs in batches:
        there, here = subject.network.outputs(inputs), run_torch(network, inputs)
        for name in OUTPUTS:
            parity[name] = max(parity[name], relative_difference(getattr(there, name), getattr(here, name)))
    bias = dict(network.named_parameters())["fc.bias"].detach().numpy()
    replayed = None
    if golden is not None:
        with np.load(golden) as stored:
            again = subject.network.outputs(stored["films"])
            replayed = max(relative_difference(getattr(again, name), stored[name]) for name in OUTPUTS)
    return Identity(
        parity=parity,
        parity_films=sum(len(inputs) for inputs in batches),
        identity=cam_identity(scan, subject.kind, bias),
        identity_films=len(films) - scan.refused,
        golden=replayed,
        precision=precision,
    )
