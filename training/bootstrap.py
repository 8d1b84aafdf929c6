"""Intervals by resampling patients: the domain's, under training's name, so that serving gives the same."""

from app.domain.patient_bootstrap import (
    ROUNDS,
    Mask,
    Sample,
    Values,
    interval,
    patient_weights,
    weighted_auroc,
    weighted_share,
    wilson_interval,
)

__all__ = [
    "ROUNDS",
    "Mask",
    "Sample",
    "Values",
    "interval",
    "patient_weights",
    "weighted_auroc",
    "weighted_share",
    "wilson_interval",
]
