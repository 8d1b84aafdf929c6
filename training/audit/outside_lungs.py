"""Which part of the evidence lies outside the lungs, film by film."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.directed_divergence import directed_divergence
from app.domain.discrimination import Estimate
from app.domain.lungs import outside_lungs
from training.audit.record import Record
from training.audit.scan import Scan, Values
from training.bootstrap import interval, patient_weights
from training.evaluate import Measured, measured

_QUANTILES: Final = (5, 25, 50, 75, 95)


class ShareOutside(Record):
    """Share of a map's mass outside the lungs, over films.

    Attributes
    ----------
    films
        Films with lungs and with positive evidence.
    mean
        Over the films, with a patient-bootstrap interval.
    quantiles
        At 5, 25, 50, 75 and 95 %.
    """

    films: int
    mean: Measured
    quantiles: tuple[float, float, float, float, float] | None


class OutsideLungs(Record):
    """Of one label's maps, each over ``all``, ``positive`` and ``negative`` films.

    Attributes
    ----------
    cam
        The label's class activation map, negative cells as none.
    addk
        The display map of the directed divergence from the partner; None without a partner.
    flat
        A map that is the same everywhere, padding included: what looking at nothing in particular scores.
    """

    cam: dict[str, ShareOutside]
    addk: dict[str, ShareOutside] | None
    flat: dict[str, ShareOutside]


def shares_outside(scan: Scan, maps: Iterable[NDArray[np.floating] | None]) -> Values:
    """Give each film's share, ``(N,)``; NaN where the film was refused, lacks lungs, or has no evidence."""
    shares = np.full(len(scan.placements), np.nan)
    for k, (values, placement, lungs) in enumerate(zip(maps, scan.placements, scan.lungs, strict=True)):
        if values is not None and placement is not None and lungs is not None:
            share = outside_lungs(values, placement.extent_of(scan.grid_px), lungs)
            shares[k] = np.nan if share is None else share
    return shares


def divergence_maps(scan: Scan, plane: int, partner: Scan, partner_plane: int) -> list[NDArray[np.float64] | None]:
    """Give each film's directed divergence from the partner, as displayed; None where either has no map of the film.

    Raises
    ------
    ValueError
        If the two networks do not see the same rectangle of a film on the same grid.
    """
    displays: list[NDArray[np.float64] | None] = []
    for k, (mine, theirs) in enumerate(zip(scan.placements, partner.placements, strict=True)):
        if mine is None or theirs is None:
            displays.append(None)
            continue
        if mine.extent != theirs.extent or scan.cam.shape[2:] != partner.cam.shape[2:]:
            raise ValueError("the partner sees another part of the film, or sees it on another grid: no divergence")
        displays.append(directed_divergence(scan.cam[k, plane], partner.cam[k, partner_plane]).display)
    return displays


def share_over(shares: Values, groups: NDArray[np.str_]) -> ShareOutside:
    """Summarise the shares of some films."""
    known = ~np.isnan(shares)
    values, members = shares[known], groups[known]
    if values.size == 0:
        return ShareOutside(films=0, mean=Measured(value=None, low=None, high=None), quantiles=None)
    weights = patient_weights(members)
    drawn = weights.sum(axis=1)
    bounds = interval(weights @ values / drawn, np.unique(members).size)
    low, high = bounds if bounds is not None else (None, None)
    q05, q25, q50, q75, q95 = (float(v) for v in np.percentile(values, _QUANTILES))
    return ShareOutside(
        films=int(values.size),
        mean=measured(Estimate(float(values.mean()), low, high, 0, 0)),
        quantiles=(q05, q25, q50, q75, q95),
    )


def measure_outside_lungs(
    scan: Scan,
    plane: int,
    truth: Values,
    groups: NDArray[np.str_],
    partner: tuple[Scan, int] | None = None,
) -> OutsideLungs:
    """Measure where one label's evidence lies.

    Parameters
    ----------
    scan
        Of the network.
    plane
        Of ``scan.cam`` that argues for the label.
    truth, groups
        ``(N,)`` 0, 1 or NaN; leak-proof unit.
    partner
        Scan of the expert of the overlapping class over the same films, and its plane.

    Returns
    -------
    OutsideLungs
        See there.
    """

    def over(maps: Sequence[NDArray[np.floating] | None]) -> dict[str, ShareOutside]:
        shares = shares_outside(scan, maps)
        parts = {"all": np.ones(truth.size, bool), "positive": truth == 1, "negative": truth == 0}
        return {name: share_over(shares[where], groups[where]) for name, where in parts.items()}

    flat = np.ones(scan.cam.shape[2:], np.float32)
    return OutsideLungs(
        cam=over(list(scan.cam[:, plane])),
        addk=over(divergence_maps(scan, plane, *partner)) if partner is not None else None,
        flat=over([flat] * len(scan.placements)),
    )
