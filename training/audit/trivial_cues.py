"""What a model reaches that sees no anatomy: the baseline that a network must beat within a source."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from tqdm import tqdm

from app.domain.label_hierarchy import ENSEMBLE_LABELS
from training.audit.blackout import audited_subgroups
from training.audit.record import Record
from training.audit.scan import Values
from training.bootstrap import Sample
from training.datasets import Film, read_grey
from training.evaluate import Measured, measured

_BORDER_SHARE: Final = 0.03
_LEVELS: Final = np.arange(256)
_PERCENTILES: Final = (1, 5, 25, 50, 75, 95, 99)
_DARK, _BRIGHT = 8, 247
_BINS: Final = 16


class CueRow(Record):
    """The baseline in one subgroup."""

    films: int
    positives: int
    negatives: int
    auroc: Measured


class TrivialCues(Record):
    """A gradient-boosted model of trivial cues, fitted on the films that the network was trained on.

    Attributes
    ----------
    trained_on
        Films it was fitted on; stretched copies have lost their shape and are left out.
    cues
        How many numbers it sees of a film.
    subgroups
        The baseline, scored on the audited part.
    """

    trained_on: int
    cues: int
    subgroups: dict[str, CueRow]


def trivial_cues(grey: NDArray[np.uint8], file_bytes: int) -> Values:
    """Describe a film without looking at what it shows.

    Parameters
    ----------
    grey
        ``(H, W)``.
    file_bytes
        Size of its file.

    Returns
    -------
    ndarray
        Width, height, aspect ratio, bytes a pixel; mean, spread and dark and bright share of each border; means of the
        corners; mean, spread, percentiles, entropy, number of levels and a histogram of all pixels.
    """
    height, width = grey.shape
    deep, wide = max(2, int(_BORDER_SHARE * height)), max(2, int(_BORDER_SHARE * width))
    shape = [width, height, width / height, file_bytes / grey.size]
    borders = (grey[:deep], grey[-deep:], grey[:, :wide], grey[:, -wide:])
    edges = [
        f(b) for b in borders for f in (np.mean, np.std, lambda v: (v < _DARK).mean(), lambda v: (v > _BRIGHT).mean())
    ]
    corners = [
        np.mean(grey[y, x]) for y in (slice(deep), slice(-deep, None)) for x in (slice(wide), slice(-wide, None))
    ]
    counts = np.bincount(grey.ravel(), minlength=256)
    share = counts / grey.size
    mean = float(share @ _LEVELS)
    used = share[share > 0]
    below = np.cumsum(share)
    levels = [
        mean,
        float(np.sqrt(share @ (_LEVELS - mean) ** 2)),
        *(int(np.searchsorted(below, percent / 100)) for percent in _PERCENTILES),
        float(-(used * np.log(used)).sum()),
        used.size,
        *share.reshape(_BINS, -1).sum(axis=1),
    ]
    return np.array([*shape, *edges, *corners, *levels], np.float64)


class CueReader:
    """Describes films, each once."""

    def __init__(self) -> None:
        self._known: dict[Path, Values] = {}

    def of(self, films: Sequence[Film]) -> Values:
        """Give the cues of films, ``(N, cues)``."""
        for film in tqdm(
            [f for f in films if f.path not in self._known], desc="trivial cues", unit="film", leave=False
        ):
            self._known[film.path] = trivial_cues(read_grey(film.path), film.path.stat().st_size)
        return np.stack([self._known[film.path] for film in films])


def measure_trivial_cues(
    train: Sequence[Film], part: Sequence[Film], label: str, reader: CueReader, seed: int = 0
) -> TrivialCues | None:
    """Fit the baseline on training films and score it on a part.

    Parameters
    ----------
    train
        Films of part ``train`` from the sources that the network was trained on.
    part
        Films of the audited part.
    label
        One of the fourteen.
    reader
        Keeps what it has described.
    seed
        Of the model.

    Returns
    -------
    TrivialCues or None
        None where the training films hold one class only.
    """
    column = ENSEMBLE_LABELS.index(label)
    usable = [film for film in train if not film.squashed and not np.isnan(film.targets[column])]
    wanted = np.array([film.targets[column] for film in usable])
    if np.unique(wanted).size < 2:
        return None
    cues = reader.of(usable)
    model = HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.06, max_leaf_nodes=15, l2_regularization=1.0, random_state=seed
    )
    model.fit(cues, wanted == 1)
    scores = np.asarray(model.decision_function(reader.of(part)), np.float64)
    truth = np.array([film.targets[column] for film in part], np.float64)
    groups = np.array([film.group for film in part])
    rows = {}
    for name, where in audited_subgroups(part, truth).items():
        sample = Sample(truth[where], scores[where], groups[where])
        rows[name] = CueRow(
            films=sample.films,
            positives=sample.positives,
            negatives=sample.negatives,
            auroc=measured(sample.auroc()),
        )
    return TrivialCues(trained_on=len(usable), cues=cues.shape[1], subgroups=rows)
