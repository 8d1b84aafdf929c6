"""Whether the source of a film can be told from what a network keeps of it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from app.domain.discrimination import Estimate
from training.audit.record import Record
from training.audit.scan import Values
from training.bootstrap import interval, patient_weights
from training.evaluate import Measured, measured

FEWEST_FILMS: Final = 15
_FOLDS: Final = 5
_PENALTY: Final = 0.01


class SourceProbe(Record):
    """Balanced accuracy of a linear model that reads the source from the pooled features.

    Attributes
    ----------
    sources
        Films of each source that took part.
    chance
        One over the number of sources.
    balanced_accuracy
        Mean share of each source's films that were told, on held-out patients.
    """

    sources: dict[str, int]
    chance: float
    balanced_accuracy: Measured


class SourcePrediction(Record):
    """The probe over all films, and within one class of each label.

    Attributes
    ----------
    everything
        None with fewer than two sources.
    within
        By ``<label> positive`` and ``<label> negative``: there the source cannot be told through the disease.
    """

    everything: SourceProbe | None
    within: dict[str, SourceProbe]


def probe_source(
    pooled: NDArray[np.float32], sources: NDArray[np.str_], groups: NDArray[np.str_], seed: int = 0
) -> SourceProbe | None:
    """Predict the source by a multinomial logistic regression, cross-validated over patients.

    Parameters
    ----------
    pooled
        ``(N, C)`` features; NaN rows are left out.
    sources, groups
        ``(N,)`` source and leak-proof unit.
    seed
        Of the folds.

    Returns
    -------
    SourceProbe or None
        None where fewer than two sources have fifteen films of five patients.
    """
    usable = ~np.isnan(pooled).any(axis=1)
    names = [
        name
        for name in np.unique(sources[usable])
        if (usable & (sources == name)).sum() >= FEWEST_FILMS
        and np.unique(groups[usable & (sources == name)]).size >= _FOLDS
    ]
    if len(names) < 2:
        return None
    kept = usable & np.isin(sources, names)
    features, truth, members = pooled[kept].astype(np.float64), sources[kept], groups[kept]
    told = np.empty_like(truth)
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    for rest, held in folds.split(features, truth, members):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=_PENALTY, class_weight="balanced", max_iter=3000))
        told[held] = model.fit(features[rest], truth[rest]).predict(features[held])
    weights = np.concatenate([np.ones((1, len(truth))), patient_weights(members)])
    rounds = _balanced_accuracy(truth, told, names, weights)
    low, high = interval(rounds[1:], np.unique(members).size) or (None, None)
    return SourceProbe(
        sources={str(name): int((truth == name).sum()) for name in names},
        chance=1.0 / len(names),
        balanced_accuracy=measured(Estimate(float(rounds[0]), low, high, 0, 0)),
    )


def _balanced_accuracy(truth: NDArray[np.str_], told: NDArray[np.str_], names: list[str], weights: Values) -> Values:
    """Give the mean recall of every round, ``(rounds,)``; NaN where a source is absent."""
    right = truth == told
    recalls = []
    for name in names:
        of = weights @ (truth == name)
        recalls.append(np.divide(weights @ (right & (truth == name)), of, out=np.full(of.shape, np.nan), where=of > 0))
    accuracy: Values = np.mean(recalls, axis=0)
    return accuracy


def measure_source_prediction(
    pooled: NDArray[np.float32], sources: NDArray[np.str_], groups: NDArray[np.str_], truths: dict[str, Values]
) -> SourcePrediction:
    """Probe all films, and the positives and the negatives of each label apart."""
    within = {}
    for label, truth in truths.items():
        for name, value in (("positive", 1.0), ("negative", 0.0)):
            where = truth == value
            probe = probe_source(pooled[where], sources[where], groups[where]) if where.any() else None
            if probe is not None:
                within[f"{label} {name}"] = probe
    return SourcePrediction(everything=probe_source(pooled, sources, groups), within=within)
