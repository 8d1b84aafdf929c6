"""What a film of each class counts in the loss."""

from collections.abc import Sequence


def class_weights(counts: Sequence[int]) -> tuple[float, ...]:
    """Weigh classes by ``w_k = (1 / n_k) (sum n) / K``, so that each counts alike and ``sum n_k w_k = N``.

    Parameters
    ----------
    counts
        Training films ``n_k`` of each class.

    Raises
    ------
    ValueError
        If a class has no film.

    References
    ----------
    papers/3, eq. 1.

    Examples
    --------
    >>> class_weights([1, 1, 2])
    (1.333..., 1.333..., 0.666...)
    """
    empty = [str(index) for index, count in enumerate(counts) if count < 1]
    if empty:
        raise ValueError(f"class {', '.join(empty)} has no film: its weight would be infinite")
    return tuple(sum(counts) / len(counts) / count for count in counts)
