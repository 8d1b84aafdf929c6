"""Averages over the evaluated labels of a multi-label network, as a report holds them; see `training.label_metrics`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from training.label_metrics import METRICS, Metric, Values, label_metrics

__all__ = ["METRICS", "Averages", "Metric", "Scored", "averages_of"]


class Averages(BaseModel):
    """Metrics at the default operating points, over the evaluated labels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: dict[str, dict[str, Metric]]
    macro: dict[str, Metric]
    micro: dict[str, Metric]


@dataclass(frozen=True, slots=True)
class Scored:
    """Truth ``(N,)`` (NaN unknown), calibrated probabilities ``(N,)`` (NaN refused) and threshold of one label."""

    truth: Values
    probabilities: Values
    threshold: float


def averages_of(scored: dict[str, Scored], groups: NDArray[np.str_]) -> Averages:
    """Average over labels.

    Parameters
    ----------
    scored
        The labels that count.
    groups
        ``(N,)`` leak-proof units.

    Returns
    -------
    Averages
        Macro is the mean over the labels where the metric is defined; micro is the metric of the summed counts.
    """
    nothing = np.empty((len(groups), 0))
    truth, probabilities = (
        np.stack([getattr(entry, side) for entry in scored.values()], axis=1) if scored else nothing
        for side in ("truth", "probabilities")
    )
    thresholds = np.array([entry.threshold for entry in scored.values()], np.float64)
    found = label_metrics(truth, probabilities, groups, tuple(scored), thresholds)
    labels = {label: {name: result.metrics[name] for name in METRICS} for label, result in found.labels.items()}
    macro = {name: found.macro[name] for name in METRICS}
    return Averages(labels=labels, macro=macro, micro=found.micro)
