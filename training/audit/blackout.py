"""What is left of a network's discrimination without the lungs, and with nothing but the lungs."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from app.domain.subgroups import POOLED, subgroups
from training.audit.record import Record
from training.audit.scan import VARIANTS, Values, Variant
from training.bootstrap import Sample
from training.datasets import Film
from training.evaluate import Measured, measured


class BlackoutRow(Record):
    """AUROC of one label in one subgroup: the same films, three times.

    Attributes
    ----------
    lungs_blacked_out
        Chance where the network reads nothing but lungs. Outlines and size of the lungs are still visible.
    only_lungs
        As high as ``untouched`` where the network needs nothing but lungs.
    """

    films: int
    patients: int
    positives: int
    negatives: int
    untouched: Measured
    lungs_blacked_out: Measured
    only_lungs: Measured


def audited_subgroups(films: Sequence[Film], truth: Values) -> dict[str, NDArray[np.bool_]]:
    """Cut films into the subgroups of the shortcut audit: those of the card that hold both classes.

    Returns
    -------
    dict
        ``pooled``, ``without S`` for each purely paediatric source, ``source S`` for sources that hold both classes,
        ``adults`` and ``children``.
    """
    wanted = ("without ", "source ", "adults", "children")
    return {
        name: where
        for name, where in subgroups(films).items()
        if (name == POOLED or name.startswith(wanted)) and {0.0, 1.0} <= set(truth[where])
    }


def measure_blackout(
    films: Sequence[Film], truth: Values, scores: Mapping[Variant, Values], column: int
) -> dict[str, BlackoutRow]:
    """Measure one label with and without lungs.

    Parameters
    ----------
    films
        All films of the part.
    truth
        ``(N,)`` 0, 1 or NaN.
    scores
        By variant, ``(N, K)``; films that lack one of the variants are left out of all.
    column
        Of the label in the scores.

    Returns
    -------
    dict
        By subgroup; empty where no lungs were found at all.
    """
    groups = np.array([film.group for film in films])
    complete = ~np.isnan([scores[variant][:, column] for variant in VARIANTS]).any(axis=0)
    known = np.where(complete, truth, np.nan)
    rows = {}
    for name, where in audited_subgroups(films, known).items():
        samples = {variant: Sample(known[where], scores[variant][where, column], groups[where]) for variant in VARIANTS}
        first = samples["untouched"]
        rows[name] = BlackoutRow(
            films=first.films,
            patients=first.patients,
            positives=first.positives,
            negatives=first.negatives,
            untouched=measured(first.auroc()),
            lungs_blacked_out=measured(samples["lungs_blacked_out"].auroc()),
            only_lungs=measured(samples["only_lungs"].auroc()),
        )
    return rows
