"""What the laws of the domain are tried on."""

from typing import TypeAlias

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from numpy.typing import NDArray

Map: TypeAlias = NDArray[np.float64]
Pair: TypeAlias = tuple[Map, Map]

LAW = settings(max_examples=40, deadline=None)
"""A law costs milliseconds: forty examples each keep the folder's run to seconds."""

HEAVY_LAW = settings(max_examples=20, deadline=None)
"""For laws that resample whole films."""

GRIDS = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8)


@st.composite
def byte_maps(draw: st.DrawFn, shape: tuple[int, ...] | None = None, *, signed: bool = False) -> Map:
    """Cells in steps of 1/16, within ±8 if signed, else 0..15.9375: drawn as bytes, thirty times as fast as floats.

    A positive maximum is at least 1/16, so normalised cells stay within ±255.
    """
    grid = shape or draw(GRIDS)
    cells = int(np.prod(grid))
    content = draw(st.binary(min_size=cells, max_size=cells))
    return np.frombuffer(content, np.int8 if signed else np.uint8).reshape(grid).astype(np.float64) / 16.0


@st.composite
def pairs(draw: st.DrawFn, *, signed: bool = True, evidence: bool = False) -> Pair:
    """Two maps on one grid; with ``evidence``, each has a positive cell."""
    shape = draw(GRIDS)
    found = [draw(byte_maps(shape, signed=signed)) for _ in range(2)]
    if evidence:
        for one in found:
            one[draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))] = draw(st.integers(1, 9))
    return found[0], found[1]


ALPHAS = st.one_of(st.sampled_from((1.0, 5.0, 15.0, 50.0, 700.0)), st.floats(1e-3, 700.0))
EXTREME = st.floats(allow_nan=False, allow_infinity=False)
"""Every finite double, subnormal and enormous ones too."""
