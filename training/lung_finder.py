"""The released lung network over the films of a manifest, as serving applies it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.errors import ImageRefusedError, RefusalReason
from app.domain.lungs import LungFields, lung_window
from app.domain.preprocessing import InputSpecification, to_network_input
from app.domain.radiograph import Provenance, Radiograph
from training.datasets import Film, read_grey
from training.lung_network import FACTS
from training.onnx_engine import open_session
from training.onnx_graph import INPUT_NAME

LUNG_OUTPUTS: Final = ("logits", "lungs")
LUNG_INPUT: Final = InputSpecification(size_px=128, channels=1, mean=(0.5,), std=(0.25,))


class LungFinder:
    """One lung network in a session; what it finds on a film is kept.

    Parameters
    ----------
    model
        ``model.onnx``, or the directory of the artefact.
    """

    def __init__(self, model: Path) -> None:
        path = model / "model.onnx" if model.is_dir() else model
        self._session = open_session(path, threads=1)
        self._found: dict[Path, tuple[LungFields, Mapping[str, float]]] = {}

    def outputs(self, films: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Compute ``logits (N, 4)`` and ``lungs (N, 2, h, w)`` of prepared ``(N, 1, S, S)`` inputs."""
        logits, lungs = self._session.run(list(LUNG_OUTPUTS), {INPUT_NAME: films})
        return logits, lungs

    def look(self, grey: NDArray[np.uint8]) -> tuple[LungFields, Mapping[str, float]]:
        """Find the lungs of one decoded film, and the logits of `training.lung_network.FACTS`.

        Raises
        ------
        ImageRefusedError
            ``low_contrast``: there is nothing on the film.
        """
        films, placement = to_network_input(Radiograph(grey, Provenance("png", "")), LUNG_INPUT)
        logits, lungs = self.outputs(films)
        fields = LungFields(lungs[0], placement.extent, *grey.shape)
        return fields, dict(zip(FACTS, (float(logit) for logit in logits[0]), strict=True))

    def fields(self, grey: NDArray[np.uint8]) -> LungFields:
        """Find the lungs of one decoded film."""
        return self.look(grey)[0]

    def of(self, film: Film) -> LungFields:
        """Find the lungs of a film of a manifest, once."""
        return self.looked(film)[0]

    def looked(self, film: Film) -> tuple[LungFields, Mapping[str, float]]:
        """Do as `look` for a film of a manifest, once."""
        if film.path not in self._found:
            self._found[film.path] = self.look(read_grey(film.path))
        return self._found[film.path]


def lungs_for(film: Film, specification: InputSpecification, lungs: LungFinder | None) -> LungFields | None:
    """Give the lungs of a film where a network's input depends on them.

    Returns
    -------
    LungFields or None
        None where the specification takes the whole film.

    Raises
    ------
    ImageRefusedError
        If the lungs are wanted and were not found; serving refuses such a film.
    ValueError
        If the lungs are wanted and there is no network to find them.
    """
    if specification.crop == "film":
        return None
    if lungs is None:
        raise ValueError("the network is fed with the lungs' part of a film; a lung network is needed to find them")
    found = lungs.of(film)
    if lung_window(found, specification.crop_margin) is None:
        raise ImageRefusedError(RefusalReason.NOT_A_CHEST_RADIOGRAPH, "no two lungs were found")
    return found
