"""From a film to a network's input: where it lies, what its grey values become, and the way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from app.domain.errors import ImageRefusedError, RefusalReason
from app.domain.preprocessing import (
    InputSpecification,
    IntensityRule,
    Placement,
    pad_and_normalise,
    place,
    stretch_intensity,
    to_network_input,
)
from app.domain.resampling import resize
from tests.phantoms import RIGHT_LOWER, Film, chest_film, radiograph
from tests.unit.domain.strategies import HEAVY_LAW, LAW

RULES: tuple[IntensityRule, ...] = ("percentile-1-95", "percentile-1-99", "full-range", "global-0-207")
SIDES = st.integers(1, 4000)
PLACEMENTS = st.builds(place, SIDES, SIDES, st.integers(1, 1024))


@st.composite
def windowed(draw: st.DrawFn) -> Placement:
    """A window of a film, in a square input."""
    height, width = draw(SIDES), draw(SIDES)
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    window = (x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height)))
    return place(height, width, draw(st.integers(1, 1024)), window)


ANY_PLACEMENT = st.one_of(PLACEMENTS, windowed())


def plain(intensity: IntensityRule, size_px: int = 64) -> InputSpecification:
    """One channel whose values are the stretched grey values themselves."""
    return InputSpecification(size_px, channels=1, intensity=intensity, mean=(0.0,), std=(1.0,))


def content(network_input: NDArray[np.float32], placement: Placement) -> NDArray[np.float32]:
    """The part of a one-channel input where the film lies."""
    rows = slice(placement.top_px, placement.top_px + placement.height_px)
    return network_input[0, 0, rows, placement.left_px : placement.left_px + placement.width_px]


@LAW
@given(placement=ANY_PLACEMENT, x=st.floats(-2.0, 2.0), y=st.floats(-2.0, 2.0))
def test_to_input_undoes_to_film(placement: Placement, x: float, y: float) -> None:
    point = x * placement.size_px, y * placement.size_px

    there = placement.to_input(*placement.to_film(*point))

    assert there == pytest.approx(point, abs=1e-9 * placement.size_px)


@LAW
@given(placement=ANY_PLACEMENT, x=st.floats(0.0, 1.0), y=st.floats(0.0, 1.0))
def test_to_film_undoes_to_input(placement: Placement, x: float, y: float) -> None:
    point = x * placement.film_width, y * placement.film_height

    there = placement.to_film(*placement.to_input(*point))

    assert there == pytest.approx(point, abs=1e-9 * max(placement.film_width, placement.film_height))


@LAW
@given(placement=ANY_PLACEMENT)
def test_the_windows_corners_lie_on_the_corners_of_its_rectangle_in_the_input(placement: Placement) -> None:
    left, top, right, bottom = placement.seen

    first, last = placement.to_input(left, top), placement.to_input(right, bottom)

    tolerance = 1e-7 * placement.size_px
    assert first == pytest.approx((placement.left_px, placement.top_px), abs=tolerance)
    assert last == pytest.approx(
        (placement.left_px + placement.width_px, placement.top_px + placement.height_px), abs=tolerance
    )


@LAW
@given(placement=PLACEMENTS)
def test_the_window_of_the_whole_film_is_the_film(placement: Placement) -> None:
    whole = (0, 0, placement.film_width, placement.film_height)

    found = place(placement.film_height, placement.film_width, placement.size_px, whole)

    assert (found.extent, found.seen) == (placement.extent, placement.seen) == (placement.extent, whole)


@HEAVY_LAW
@given(seed=st.integers(0, 99), left=st.integers(0, 30), top=st.integers(0, 40), cut=st.integers(0, 30))
def test_a_window_is_prepared_as_the_film_that_it_is(seed: int, left: int, top: int, cut: int) -> None:
    pixels = chest_film(120, 96, seed=seed)
    window = (left, top, 96 - cut, 120)
    specification = InputSpecification(64, channels=1, mean=(0.5,), std=(0.25,), crop="lungs")

    there, placement = to_network_input(radiograph(pixels), specification, window)
    alone, inner = to_network_input(radiograph(pixels[top:, left : 96 - cut].copy()), specification)

    np.testing.assert_array_equal(there, alone)
    x0, y0, x1, y1 = inner.extent
    assert placement.extent == pytest.approx((x0 + left, y0 + top, x1 + left, y1 + top))


def test_a_point_in_a_window_lies_where_it_lay_on_the_film() -> None:
    pixels = np.full((400, 300), 40, np.uint8)
    pixels[250:260, 120:130] = 255

    network_input, placement = to_network_input(radiograph(pixels), plain("full-range"), (60, 150, 260, 350))

    row, column = np.unravel_index(int(network_input[0, 0].argmax()), network_input.shape[2:])
    x, y = placement.to_film(float(column) + 0.5, float(row) + 0.5)
    assert 120 <= x <= 130
    assert 250 <= y <= 260


@pytest.mark.parametrize(
    "window", [(0, 0, 0, 10), (5, 5, 5, 9), (0, 0, 11, 10), (0, 0, 10, 21), (-1, 0, 5, 5), (0, -1, 5, 5), (6, 0, 5, 5)]
)
def test_a_window_that_does_not_lie_on_the_film_is_refused(window: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="does not lie on a film of 10 x 20 pixels"):
        place(20, 10, 64, window)


@pytest.mark.parametrize("margin", [-0.01, 1.01, float("nan")])
def test_a_crop_margin_is_a_share(margin: float) -> None:
    with pytest.raises(ValueError, match="crop margin"):
        InputSpecification(64, crop="lungs", crop_margin=margin)


@LAW
@given(placement=PLACEMENTS)
def test_the_films_corners_lie_on_the_corners_of_its_rectangle_in_the_input(placement: Placement) -> None:
    first = placement.to_input(0.0, 0.0)
    last = placement.to_input(placement.film_width, placement.film_height)

    tolerance = 1e-9 * placement.size_px
    assert first == pytest.approx((placement.left_px, placement.top_px), abs=tolerance)
    assert last == pytest.approx(
        (placement.left_px + placement.width_px, placement.top_px + placement.height_px), abs=tolerance
    )


@LAW
@given(placement=PLACEMENTS)
def test_the_extent_is_what_the_inputs_corners_show_of_the_film(placement: Placement) -> None:
    x0, y0, x1, y1 = placement.extent

    assert (x0, y0) == placement.to_film(0.0, 0.0)
    assert (x1, y1) == pytest.approx(placement.to_film(placement.size_px, placement.size_px))
    assert x0 <= 0.0
    assert y0 <= 0.0
    assert x1 >= placement.film_width * (1 - 1e-12)
    assert y1 >= placement.film_height * (1 - 1e-12)


@LAW
@given(placement=PLACEMENTS)
def test_the_longer_side_fills_the_input_and_the_shorter_is_centred(placement: Placement) -> None:
    assert max(placement.height_px, placement.width_px) == placement.size_px
    assert placement.left_px == (placement.size_px - placement.width_px) // 2
    assert placement.top_px == (placement.size_px - placement.height_px) // 2


@LAW
@given(placement=PLACEMENTS)
def test_a_film_is_never_stretched_by_more_than_the_pixel_that_truncation_costs(placement: Placement) -> None:
    scale = placement.size_px / max(placement.film_height, placement.film_width)

    for film_px, placed_px in (
        (placement.film_height, placement.height_px),
        (placement.film_width, placement.width_px),
    ):
        assert placed_px >= 1
        assert placed_px == 1 or -1e-9 <= film_px * scale - placed_px < 1.0


@LAW
@given(height=SIDES, width=SIDES, size_px=st.integers(1, 1024))
def test_turning_the_film_turns_its_place(height: int, width: int, size_px: int) -> None:
    upright, lying = place(height, width, size_px), place(width, height, size_px)

    assert (upright.height_px, upright.top_px) == (lying.width_px, lying.left_px)
    assert (upright.width_px, upright.left_px) == (lying.height_px, lying.top_px)


@pytest.mark.parametrize(
    ("height", "width", "placed"),
    [
        (2500, 2048, (224, 183, 0, 20)),  # 183.5 is truncated; the remainder of 41 leaves 20 on the left, 21 right
        (2048, 2500, (183, 224, 20, 0)),
        (224, 224, (224, 224, 0, 0)),
        (10, 4000, (1, 224, 111, 0)),
    ],
)
def test_films_lie_where_a_ruler_puts_them(height: int, width: int, placed: tuple[int, int, int, int]) -> None:
    found = place(height, width, 224)

    assert (found.height_px, found.width_px, found.top_px, found.left_px) == placed


@pytest.mark.parametrize("rule", RULES)
@HEAVY_LAW
@given(height=st.integers(16, 120), width=st.integers(16, 120), seed=st.integers(0, 99))
def test_the_padding_is_black_and_does_not_change_the_stretched_film(
    rule: IntensityRule, height: int, width: int, seed: int
) -> None:
    film = radiograph(chest_film(height, width, seed=seed))
    longer = max(height, width)
    resized = resize(film.pixels, height * 64 // longer, width * 64 // longer)

    network_input, placement = to_network_input(film, plain(rule))

    np.testing.assert_array_equal(content(network_input, placement), stretch_intensity(resized, rule, 255.0))
    outside = network_input.copy()
    content(outside, placement)[:] = 0.0
    assert not outside.any()


@pytest.mark.parametrize("rule", ["percentile-1-95", "percentile-1-99"])
@HEAVY_LAW
@given(shift=st.integers(1, 60), seed=st.integers(0, 99))
def test_a_brighter_exposure_gives_the_same_input_under_the_percentile_rules(
    rule: IntensityRule, shift: int, seed: int
) -> None:
    dark = (chest_film(90, 60, seed=seed) // 2).astype(np.uint8)

    network_input, _ = to_network_input(radiograph(dark), plain(rule))

    # Padding of 0 inside the percentiles would move the lower bound of the dark film only.
    brighter, _ = to_network_input(radiograph((dark + shift).astype(np.uint8)), plain(rule))
    np.testing.assert_allclose(brighter, network_input, atol=2e-5)


@pytest.mark.parametrize(("rule", "upper"), [("percentile-1-95", 95.0), ("percentile-1-99", 99.0)])
def test_the_percentile_rules_clip_at_the_percentiles_of_the_film(rule: IntensityRule, upper: float) -> None:
    film = np.arange(10_000, dtype=np.float32).reshape(100, 100) / np.float32(40)

    stretched = stretch_intensity(film, rule, 255.0)

    low, high = np.sort(film, axis=None)[[100, int(100 * upper)]]
    assert stretched.min() == 0.0
    assert stretched.max() == 1.0
    assert float((stretched == 0.0).mean()) == pytest.approx(0.01, abs=2e-4)
    assert float((stretched == 1.0).mean()) == pytest.approx(1.0 - upper / 100.0, abs=2e-4)
    inside = (film > low) & (film < high)
    np.testing.assert_allclose(stretched[inside], (film[inside] - low) / (high - low), atol=2e-4)


@pytest.mark.parametrize("rule", RULES)
def test_stretching_keeps_the_order_of_the_grey_values(rule: IntensityRule) -> None:
    film = np.random.default_rng(3).integers(0, 256, (40, 40)).astype(np.float32)

    stretched = stretch_intensity(film, rule, 255.0)

    assert stretched.dtype == np.float32
    assert 0.0 <= stretched.min() <= stretched.max() <= 1.0
    assert (np.diff(stretched.ravel()[np.argsort(film, axis=None)]) >= 0.0).all()


@pytest.mark.parametrize("rule", RULES)
@HEAVY_LAW
@given(seed=st.integers(0, 99), height=st.integers(20, 90), width=st.integers(20, 90))
def test_a_film_of_8_bits_and_its_twin_of_16_give_the_same_input(
    rule: IntensityRule, seed: int, height: int, width: int
) -> None:
    film = chest_film(height, width, seed=seed, opacities=(RIGHT_LOWER,))
    twin = film.astype(np.uint16) * np.uint16(257)

    eight, sixteen = (to_network_input(radiograph(one), plain(rule))[0] for one in (film, twin))

    np.testing.assert_allclose(sixteen, eight, atol=5e-6)


@pytest.mark.parametrize("rule", RULES)
def test_a_finer_quantisation_of_one_film_changes_its_input_by_no_more_than_its_steps(rule: IntensityRule) -> None:
    coarse, fine = (to_network_input(radiograph(chest_film(bits=bits)), plain(rule))[0] for bits in (8, 16))

    assert float(np.abs(coarse - fine).max()) < 2.0 / 255.0


def test_the_compatibility_rule_is_white_at_207_of_255_whatever_the_bit_depth() -> None:
    eight = np.array([[0, 103, 207, 255]], np.float32)

    stretched = stretch_intensity(eight, "global-0-207", 255.0)

    np.testing.assert_allclose(stretched, [[0.0, 103 / 207, 1.0, 1.0]], atol=1e-6)
    np.testing.assert_allclose(stretch_intensity(eight * 257, "global-0-207", 65535.0), stretched, atol=1e-6)


def test_full_range_divides_by_white() -> None:
    np.testing.assert_allclose(
        stretch_intensity(np.array([[0, 51, 255]], np.float32), "full-range", 255.0), [[0.0, 0.2, 1.0]], atol=1e-7
    )


@pytest.mark.parametrize("rule", ["percentile-1-95", "percentile-1-99"])
@pytest.mark.parametrize(
    "pixels", [np.full((40, 30), 90, np.uint8), np.full((40, 30), 20_000, np.uint16), np.zeros((5, 5), np.uint8)]
)
def test_a_film_with_nothing_on_it_is_refused_as_low_contrast(rule: IntensityRule, pixels: Film) -> None:
    with pytest.raises(ImageRefusedError, match="grey values lie between") as refusal:
        to_network_input(radiograph(pixels), plain(rule))

    assert refusal.value.reason is RefusalReason.LOW_CONTRAST


def test_a_speck_on_an_empty_film_is_still_low_contrast() -> None:
    pixels = np.full((100, 100), 90, np.uint8)
    pixels[:5, :5] = 255

    with pytest.raises(ImageRefusedError):
        to_network_input(radiograph(pixels), plain("percentile-1-95", 100))


@pytest.mark.parametrize("white", [255.0, 65535.0])
def test_low_contrast_means_less_than_half_a_level_of_8_bits(white: float) -> None:
    ramp = np.linspace(0.0, 1.0, 101, dtype=np.float32)[None]
    level = np.float32(white / 255.0 / 0.98)  # of which the percentiles 1 and 99 span 98 %

    stretch_intensity(ramp * level * np.float32(0.51), "percentile-1-99", white)
    with pytest.raises(ImageRefusedError):
        stretch_intensity(ramp * level * np.float32(0.49), "percentile-1-99", white)


@pytest.mark.parametrize("rule", ["full-range", "global-0-207"])
def test_fixed_rules_never_refuse(rule: IntensityRule) -> None:
    network_input, _ = to_network_input(radiograph(np.zeros((40, 30), np.uint8)), plain(rule))

    assert not network_input.any()


@LAW
@given(
    stretched=arrays(np.float32, (6, 8), elements=st.floats(0, 1, width=32)),
    mean=st.floats(0.0, 1.0),
    std=st.floats(0.1, 2.0),
)
def test_normalising_is_undone_by_the_channels_mean_and_std(
    stretched: NDArray[np.float32], mean: float, std: float
) -> None:
    specification = InputSpecification(8, mean=(mean, 0.0, 0.5), std=(std, 1.0, 2.0))
    placement = place(6, 8, 8)

    network_input = pad_and_normalise(stretched, placement, specification)

    assert network_input.shape == (1, 3, 8, 8)
    assert network_input.dtype == np.float32
    for channel in range(3):
        values = network_input[0, channel] * specification.std[channel] + specification.mean[channel]
        np.testing.assert_allclose(values[1:7], stretched, atol=1e-6)
        np.testing.assert_allclose(values[[0, 7]], 0.0, atol=1e-6)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bits", [8, 16])
def test_the_film_is_not_modified(rule: IntensityRule, bits: int) -> None:
    pixels = chest_film(50, 70, bits=bits)
    before = pixels.copy()
    pixels.setflags(write=False)

    to_network_input(radiograph(pixels), plain(rule))

    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("rule", RULES)
def test_a_resized_film_is_not_modified_by_stretching(rule: IntensityRule) -> None:
    resized = np.random.default_rng(1).random((9, 9), np.float32) * 255
    resized.setflags(write=False)

    stretched = stretch_intensity(resized, rule, 255.0)

    assert stretched is not resized


@pytest.mark.parametrize(
    ("size_px", "channels", "mean", "std"),
    [
        (0, 1, (0.0,), (1.0,)),
        (224, 2, (0.0, 0.0), (1.0, 1.0)),
        (224, 3, (0.5,), (0.5, 0.5, 0.5)),
        (224, 1, (0.5,), (0.5, 0.5)),
        (224, 1, (0.5,), (0.0,)),
    ],
)
def test_an_inconsistent_input_specification_cannot_be_built(
    size_px: int, channels: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match=r"input of|one value a channel"):
        InputSpecification(size_px, channels=channels, mean=mean, std=std)


@LAW
@given(height=st.integers(1, 4000), width=st.integers(1, 4000), size=st.integers(16, 512))
def test_a_part_of_the_input_covers_the_same_part_of_the_extent(height: int, width: int, size: int) -> None:
    placement = place(height, width, size)
    x0, y0, x1, y1 = placement.extent

    assert placement.extent_of(None) == placement.extent
    assert placement.extent_of((0.0, 0.0, size, size)) == pytest.approx(placement.extent, abs=1e-6 * max(height, width))
    middle = placement.extent_of((size / 4, size / 4, size / 2, size))
    expected = (x0 + (x1 - x0) / 4, y0 + (y1 - y0) / 4, (x0 + x1) / 2, y1)
    assert middle == pytest.approx(expected, abs=1e-6 * max(height, width))
