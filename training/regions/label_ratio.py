"""Which outlines are shown to a network, where only a share of them shall be: whole patients, nested subsets."""

import hashlib
import math
from collections.abc import Iterable


def shown_groups(groups: Iterable[str], ratio: float, seed: int) -> frozenset[str]:
    """Choose a share of the patients.

    The patients are put into an order that depends on the seed alone, and the first ones are taken: for one seed a
    smaller ratio's patients are among a larger ratio's, whatever the order they are given in.

    Parameters
    ----------
    groups
        Patients, or groups of them; repetitions do not count.
    ratio
        Share to choose, 0..1, rounded up to whole patients.
    seed
        Of the order.

    Returns
    -------
    frozenset of str
        ``ceil(ratio * patients)`` of them.

    Raises
    ------
    ValueError
        If the ratio is outside 0..1.

    Examples
    --------
    >>> few, many = (shown_groups("abcdefgh", ratio, seed=1) for ratio in (0.25, 0.5))
    >>> len(few), len(many), few <= many
    (2, 4, True)
    """
    if not 0.0 <= ratio <= 1.0:
        raise ValueError(f"a label ratio of {ratio}; 0 to 1 expected")
    ordered = sorted(set(groups), key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
    return frozenset(ordered[: math.ceil(ratio * len(ordered) - 1e-9)])
