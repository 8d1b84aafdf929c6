"""Amplified directed divergence (ADDK) of two class activation maps, in the log domain.

``K(x, x') = exp(alpha * (x / max x - x' / max x'))``, cell by cell: large where the class of interest claims a place
that the overlapping class does not. Not symmetric.

References
----------
papers/1, eq. 2 and 3, fig. 6. Settled edge cases: SPEC 1.7 to 1.14.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from app.domain.arrays import ActivationMap, FloatMap
from app.domain.errors import DivergenceError, DivergenceReason

DEFAULT_ALPHA: Final = 15.0
MAX_ALPHA: Final = 700.0
LOW_CONTRAST_RANGE: Final = 0.1
LOG_MAX_FLOAT16: Final = float(np.log(np.finfo(np.float16).max))
LOG_MAX_FLOAT32: Final = float(np.log(np.finfo(np.float32).max))
LOG_MAX_FLOAT64: Final = float(np.log(np.finfo(np.float64).max))


@dataclass(frozen=True, slots=True)
class DirectedDivergence:
    """The kernel of two maps at one amplification.

    Attributes
    ----------
    alpha
        Amplification.
    log_k
        ``(h, w)`` ln K, always finite.
    display
        ``(h, w)`` in 0..1: (K - min K) / (max K - min K); zeros where K is flat.
    entropy_nats
        Entropy of K / sum K: how spread out the divergence is.
    top_cell_share
        Largest cell of K / sum K.
    flags
        ``no_positive_evidence`` (``x:`` or ``x':`` in front), ``flat_heat_map``, ``low_contrast_map``, overflows.
    """

    alpha: float
    log_k: FloatMap
    display: FloatMap
    entropy_nats: float
    top_cell_share: float
    flags: tuple[str, ...]

    @property
    def k(self) -> FloatMap | None:
        """``(h, w)`` K itself; None where it overflows double precision."""
        return None if float(self.log_k.max()) > LOG_MAX_FLOAT64 else np.exp(self.log_k)


def checked_alpha(alpha: float) -> float:
    """Accept finite ``0 < alpha <= 700``; anything else is ``INVALID_ALPHA``."""
    if not np.isfinite(alpha) or not 0.0 < alpha <= MAX_ALPHA:
        raise DivergenceError(
            DivergenceReason.INVALID_ALPHA, f"alpha is {alpha}; 0 < alpha <= {MAX_ALPHA:.0f} expected"
        )
    return float(alpha)


def checked_map(activation_map: ActivationMap, name: str) -> FloatMap:
    """Accept a finite two-dimensional map that has cells; give it in double precision."""
    if activation_map.size == 0:
        raise DivergenceError(DivergenceReason.EMPTY_MAP, f"{name} has no cells")
    if activation_map.ndim != 2:
        raise DivergenceError(
            DivergenceReason.SHAPE_MISMATCH, f"{name} has shape {activation_map.shape}, (h, w) expected"
        )
    if not np.isfinite(activation_map).all():
        raise DivergenceError(DivergenceReason.NON_FINITE_MAP, f"{name} has a cell that is not a finite number")
    return activation_map.astype(np.float64)


def normalised_by_maximum(activation_map: FloatMap) -> tuple[FloatMap, bool]:
    """Divide a map by its maximum; without a positive cell it is 0 everywhere.

    Dividing by a negative maximum would turn the map upside down (SPEC 1.11).

    Returns
    -------
    FloatMap
        ``(h, w)``, maximum 1 or all zeros. Negative cells stay negative.
    bool
        Whether the map has positive evidence.
    """
    peak = float(activation_map.max())
    if peak <= 0.0:
        return np.zeros_like(activation_map), False
    with np.errstate(over="ignore"):
        scaled = activation_map / peak
    if np.isfinite(scaled).all():
        return scaled, True
    raise DivergenceError(
        DivergenceReason.NON_FINITE_MAP, "a negative cell is too large against the map's maximum to be divided by it"
    )


def directed_divergence(
    x: ActivationMap, x_prime: ActivationMap, alpha: float = DEFAULT_ALPHA, *, clamp_negative: bool = False
) -> DirectedDivergence:
    """Contrast two activation maps of one film.

    Parameters
    ----------
    x, x_prime
        Maps of the class of interest and of the overlapping class on the same grid. Shape ``(h, w)``.
    alpha
        Amplification, ``0 < alpha <= 700``.
    clamp_negative
        Set negative cells of both maps to 0 first.

    Returns
    -------
    DirectedDivergence
        With flags for every degenerate case.

    Raises
    ------
    DivergenceError
        ``EMPTY_MAP``, ``SHAPE_MISMATCH``, ``NON_FINITE_MAP`` or ``INVALID_ALPHA``.

    References
    ----------
    papers/1, eq. 2.
    """
    checked_alpha(alpha)
    return _kernel(*_pair(x, x_prime, clamp_negative), alpha)


def directed_divergences(
    x: ActivationMap, x_prime: ActivationMap, alphas: tuple[float, ...], *, clamp_negative: bool = False
) -> tuple[DirectedDivergence, ...]:
    """Contrast two maps at several amplifications; the maps are checked and normalised once."""
    for alpha in alphas:
        checked_alpha(alpha)
    difference, flags = _pair(x, x_prime, clamp_negative)
    return tuple(_kernel(difference, flags, alpha) for alpha in alphas)


def amplified(difference: FloatMap, alpha: float) -> DirectedDivergence:
    """Amplify a difference of maps that were brought to one scale by other means than each by its own maximum.

    Parameters
    ----------
    difference
        ``(h, w)``, finite.
    alpha
        Amplification, ``0 < alpha <= 700``.

    Raises
    ------
    DivergenceError
        ``INVALID_ALPHA``, ``EMPTY_MAP`` or ``NON_FINITE_MAP``.
    """
    checked_alpha(alpha)
    return _kernel(checked_map(difference, "the difference"), (), alpha)


def _pair(x: ActivationMap, x_prime: ActivationMap, clamp_negative: bool) -> tuple[FloatMap, tuple[str, ...]]:
    """Check, clamp and normalise both maps; give their difference and the flags so far."""
    first, second = checked_map(x, "x"), checked_map(x_prime, "x'")
    if first.shape != second.shape:
        raise DivergenceError(DivergenceReason.SHAPE_MISMATCH, f"x has shape {first.shape}, x' {second.shape}")
    if clamp_negative:
        first, second = np.maximum(first, 0.0), np.maximum(second, 0.0)
    own, own_evidence = normalised_by_maximum(first)
    other, other_evidence = normalised_by_maximum(second)
    missing = [name for name, found in (("x", own_evidence), ("x'", other_evidence)) if not found]
    return own - other, tuple(f"{name}:no_positive_evidence" for name in missing)


def _kernel(difference: FloatMap, flags: tuple[str, ...], alpha: float) -> DirectedDivergence:
    """Amplify a difference of normalised maps (SPEC 1.8, 1.12, 1.14)."""
    with np.errstate(over="ignore"):
        log_k = alpha * difference
    low, high = float(log_k.min()), float(log_k.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise DivergenceError(DivergenceReason.NON_FINITE_MAP, f"alpha {alpha} times the difference is not finite")
    with np.errstate(over="ignore"):  # a range beyond double precision is -inf here, and 0 after exp
        relative = np.exp(log_k - high)
    span = 1.0 - float(np.exp(low - high))
    found = list(flags)
    if span > 0.0:
        display = (relative - np.exp(low - high)) / span
    else:
        display = np.zeros_like(log_k)
        found.append("flat_heat_map")
    if 0.0 < high - low < LOW_CONTRAST_RANGE:
        found.append("low_contrast_map")
    found += [
        name
        for name, limit in (
            ("overflow_float64", LOG_MAX_FLOAT64),
            ("would_overflow_float32", LOG_MAX_FLOAT32),
            ("would_overflow_float16", LOG_MAX_FLOAT16),
        )
        if high > limit
    ]
    share = relative / relative.sum()
    entropy = float(-np.sum(np.where(share > 0.0, share * np.log(np.maximum(share, np.finfo(np.float64).tiny)), 0.0)))
    return DirectedDivergence(alpha, log_k, display, max(entropy, 0.0), float(share.max()), tuple(found))
