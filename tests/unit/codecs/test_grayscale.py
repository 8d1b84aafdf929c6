"""The grayscale steps; pydicom is the oracle for windows and LUTs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels import apply_windowing

from app.codecs.grayscale import LookupTable, Window, apply_window, rescale, stretch, to_display

FUNCTIONS = st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"])
VALUES = np.arange(0, 4096, dtype=np.float64)


@given(
    centre=st.floats(-500, 5000),
    width=st.floats(2, 8000),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)
def test_windows_are_those_of_pydicom(centre: float, width: float, function: str) -> None:
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored, dataset.PixelRepresentation = 12, 0
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = f"{centre:.4f}", f"{width:.4f}", function
    window = Window(float(f"{centre:.4f}"), float(f"{width:.4f}"), function)

    with np.errstate(over="ignore"):  # pydicom's, far below a narrow sigmoid window
        oracle = apply_windowing(VALUES.astype(np.uint16), dataset)

    np.testing.assert_allclose(apply_window(VALUES, window) * 4095, oracle, atol=1e-6)


@given(
    centre=st.floats(0, 4095), width=st.floats(1, 5000), function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"])
)
def test_a_window_never_reverses_the_order_of_values_and_stays_in_range(
    centre: float, width: float, function: str
) -> None:
    bright = apply_window(VALUES, Window(centre, width, function))

    assert np.all(np.diff(bright) >= 0)
    assert 0 <= bright[0] <= bright[-1] <= 1


def test_a_linear_window_of_width_one_is_a_threshold() -> None:
    np.testing.assert_array_equal(apply_window(VALUES, Window(100, 1)), (VALUES > 99.5).astype(float))


@pytest.mark.parametrize("window", [Window(0, 0.5), Window(0, 0, "SIGMOID"), Window(0, -3, "LINEAR_EXACT")])
def test_an_invalid_window_is_a_broken_promise(window: Window) -> None:
    with pytest.raises(ValueError, match="width"):
        apply_window(VALUES, window)


def test_a_lookup_table_extends_its_ends() -> None:
    table = LookupTable(-2, 8, np.array([10, 20, 30], np.uint16))

    np.testing.assert_array_equal(table.apply(np.array([-9.0, -2, -1.5, 0, 7])), [10, 10, 20, 30, 30])


def test_a_lookup_table_with_more_than_its_stated_bits_is_believed_by_its_entries() -> None:
    assert LookupTable(0, 8, np.array([0, 4095], np.uint16)).white == 4095
    assert LookupTable(0, 12, np.array([0, 200], np.uint16)).white == 4095


def test_stretching_and_rescaling_are_affine() -> None:
    np.testing.assert_allclose(stretch(rescale(VALUES, 2, -5), -5, 2 * 4095 - 5), VALUES / 4095)
    np.testing.assert_array_equal(stretch(VALUES, 7, 7), 0)


@pytest.mark.parametrize("bits", [8, 16])
def test_inverting_mirrors_the_display_values(bits: int) -> None:
    brightness = np.linspace(0, 1, 1 << bits)
    straight, inverted = to_display(brightness, False, bits), to_display(brightness, True, bits)

    assert straight.dtype == inverted.dtype == (np.uint8 if bits == 8 else np.uint16)
    np.testing.assert_array_equal(straight.astype(int) + inverted, (1 << bits) - 1)
