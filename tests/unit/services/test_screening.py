"""One film through the service, over networks whose answers are known."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.domain.errors import DivergenceError, DivergenceReason, InvalidRequestError
from app.domain.lung_input import to_lung_input
from app.inference.catalogue import Catalogue, CatalogueFile
from app.inference.expert import Network
from app.inference.scheduling import WorkQueue
from app.services.options import DEFAULT_PARTS, PARTS, ScreeningOptions, parse_include, parse_overlay_size
from app.services.screening import Screening, ScreeningService
from tests.fakes import PATIENCE_S, FakeDecoder, FakeEncoder, FakeLungs, FakeNetwork, SolidNetwork, manifest
from tests.phantoms import chest_film, radiograph

RISING = np.array([[1.0, 2.0], [3.0, 4.0]])
FALLING = np.array([[4.0, -3.0], [2.0, 1.0]])


class Bench:
    """A service over fakes; the queue is the test's own thread unless it is asked for."""

    def __init__(self, *networks: Network, decoder: FakeDecoder | None = None, lungs: FakeLungs | None = None) -> None:
        names = [network.manifest.name for network in networks if network.manifest.kind == "expert"]
        content = {
            "schema": "discern-catalogue/1",
            "pairs": [{"interest": names[0], "overlap": names[-1], "alpha": 7}],
            "ensemble": {"members": [n.manifest.name for n in networks if n.manifest.kind == "multilabel"]},
        }
        loaded = {n.manifest.name: n for n in networks}
        catalogue = Catalogue(loaded, {}, CatalogueFile.model_validate(content), lungs)
        self.decoder, self.encoder = decoder or FakeDecoder(), FakeEncoder()
        self.queue = WorkQueue(1, 4)
        self.service = ScreeningService(self.decoder, self.encoder, catalogue, self.queue)

    def screen(self, **options: Any) -> Screening:  # Any: the options' own types
        return self.service.screen(b"film", ScreeningOptions(**options))


def solid(name: str, margin: float = 1.0, cam: NDArray[np.float64] = RISING, **changes: Any) -> SolidNetwork:
    return SolidNetwork(manifest(name, **changes), margin, cam)


def both(margin: float = 1.0, other: float = 1.0) -> Bench:
    return Bench(solid("covid19", margin, RISING), solid("pneumonia", other, FALLING))


def log_k(found: Screening, number: int = 0) -> NDArray[np.float64]:
    assert found.result.divergence is not None
    return found.result.divergence.maps[number].log_k


def test_the_divergence_is_the_kernel_at_the_pair_s_own_alpha() -> None:
    found = both().screen()

    np.testing.assert_allclose(log_k(found), 7 * (RISING / 4 - FALLING / 4))


def test_swapping_the_pair_gives_the_reciprocal() -> None:
    bench = both()

    there, back = bench.screen(), bench.screen(interest="pneumonia", overlap="covid19")

    np.testing.assert_allclose(log_k(there), -log_k(back))
    assert list(back.result.experts) == ["pneumonia", "covid19"]


def test_several_alphas_share_one_run_of_the_networks() -> None:
    interest, overlap = solid("covid19"), solid("pneumonia", cam=FALLING)

    found = Bench(interest, overlap).screen(alphas=(5.0, 50.0, 15.0))

    np.testing.assert_allclose(log_k(found, 1), 10 * log_k(found, 0))
    np.testing.assert_allclose(log_k(found, 2), 3 * log_k(found, 0))
    assert (interest.sizes, overlap.sizes) == ([1], [1])


def test_contrasted_evidence_subtracts_the_other_row() -> None:
    bench = both()

    row, contrast = bench.screen(evidence="row"), bench.screen(evidence="contrast")

    # The out-of-class map of the fake is minus half of the in-class one.
    for found, factor in ((row, 1.0), (contrast, 1.5)):
        values = found.result.experts["covid19"].activation_map
        assert values is not None
        np.testing.assert_allclose(values, factor * RISING)


@pytest.mark.parametrize(
    ("margins", "negative"),
    [
        ((1.0, 1.0), []),
        ((-1.0, 1.0), ["COVID-19"]),
        ((1.0, -1.0), ["Pneumonia"]),
        ((-1.0, -1.0), ["COVID-19", "Pneumonia"]),
    ],
)
def test_the_use_is_as_intended_only_if_both_experts_are_positive(
    margins: tuple[float, float], negative: list[str]
) -> None:
    divergence = both(*margins).screen().result.divergence

    assert divergence is not None
    assert divergence.intended_use is (not negative)
    names = ("COVID-19", "Pneumonia")
    assert [name for name in names if f"the {name} expert is negative" in (divergence.reason or "")] == negative


def test_probability_and_decision_follow_margin_calibration_and_threshold() -> None:
    changes: dict[str, Any] = {  # Any: as in a manifest
        "calibration": {"covid19": {"method": "platt", "slope": 2.0, "intercept": -1.0}},
        "operating_points": {"covid19": [{"name": "sensitive", "threshold": 0.95}]},
    }
    found = Bench(solid("covid19", 1.5, **changes), solid("pneumonia")).screen().result.experts["covid19"]

    assert found.logit == pytest.approx(2.0)
    assert found.probability == pytest.approx(1 / (1 + math.exp(-2.0)))
    assert (found.decision, found.operating_point.name) == ("negative", "sensitive")


def test_maps_of_different_grids_are_refused() -> None:
    finer = solid("pneumonia", cam=np.ones((3, 3)), cells=3)

    with pytest.raises(DivergenceError) as refusal:
        Bench(solid("covid19"), finer).screen()

    assert refusal.value.reason is DivergenceReason.SHAPE_MISMATCH


def test_maps_that_cover_different_rectangles_are_refused_and_probabilities_are_still_given() -> None:
    # 80 of 96 px become 26 of 32 or 40 of 48: the padded squares differ by a fraction of a pixel.
    bench = Bench(solid("covid19", size_px=32), solid("pneumonia", size_px=47))

    with pytest.raises(DivergenceError) as refusal:
        bench.screen()

    assert refusal.value.reason is DivergenceReason.SHAPE_MISMATCH
    assert "rectangle" in refusal.value.detail
    assert bench.screen(include=frozenset()).result.experts["covid19"].probability > 0.5


def test_a_film_is_prepared_once_for_equal_specifications(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def counted(film: Any, specification: Any, lungs: Any) -> Any:  # Any: passed through
        made.append(specification.size_px)
        return to_lung_input(film, specification, lungs)

    monkeypatch.setattr("app.services.preparation.to_lung_input", counted)
    member = FakeNetwork(manifest("member", kind="multilabel"))
    other = FakeNetwork(manifest("larger", kind="multilabel", size_px=64))

    Bench(solid("covid19"), solid("pneumonia"), member, other).screen()

    assert made == [32, 64]


@pytest.mark.parametrize("part", [*PARTS, None])
def test_only_what_is_included_is_computed(part: str | None) -> None:
    bench = Bench(solid("covid19"), solid("pneumonia"), FakeNetwork(manifest("member", kind="multilabel")))

    found = bench.screen(include=frozenset() if part is None else frozenset({part}))

    drawn = len(bench.encoder.colours), len(bench.encoder.greys)
    assert drawn == {"overlays": (3, 0), "film": (0, 1)}.get(str(part), (0, 0))
    assert (found.result.ensemble is not None) == (part in {"ensemble", "ensemble_maps"})
    labels = found.result.ensemble.labels if found.result.ensemble is not None else ()
    assert all((label.activation_map is not None) == (part == "ensemble_maps") for label in labels)
    assert (found.result.divergence is not None) == (part in {"maps", "overlays", "regions"})
    assert bool(found.result.divergence and found.result.divergence.regions) == (part == "regions")
    assert [m.name for m in found.result.models] == [
        "covid19",
        "pneumonia",
        *(["member"] if part in {"ensemble", "ensemble_maps"} else []),
    ]


def test_every_label_of_the_ensemble_is_drawn_where_overlays_and_its_maps_are_asked_for() -> None:
    bench = Bench(solid("covid19"), solid("pneumonia"), FakeNetwork(manifest("member", kind="multilabel")))

    found = bench.screen(include=frozenset({"overlays", "ensemble_maps"}))

    assert found.pictures is not None
    assert list(found.pictures.labels) == ["pneumonia", "no_finding"]
    assert len(bench.encoder.colours) == 5


def test_a_map_without_positive_cell_is_flagged() -> None:
    result = Bench(solid("covid19", cam=-RISING), solid("pneumonia", cam=FALLING)).screen().result

    assert result.experts["covid19"].flags == ("no_positive_evidence",)
    assert result.experts["pneumonia"].flags == ()
    assert result.divergence is not None
    assert any("no_positive_evidence" in flag for flag in result.divergence.maps[0].flags)


def test_a_pretest_probability_updates_the_class_of_interest_alone() -> None:
    experts = both().screen(pretest_probability=0.1).result.experts

    post_test = experts["covid19"].post_test
    assert post_test is not None
    assert post_test.probability == pytest.approx(0.1 * 0.9 / (0.1 * 0.9 + 0.9 * 0.2))
    assert post_test.likelihood_ratio == pytest.approx(0.9 / 0.2)
    assert experts["pneumonia"].post_test is None


def test_force_is_passed_to_the_decoder_and_flagged() -> None:
    bench = both()

    forced, plain = bench.screen(force=True), bench.screen()

    assert bench.decoder.tolerated == [True, False]
    assert "forced" in forced.result.flags
    assert "forced" not in plain.result.flags


@pytest.mark.parametrize(("side", "low"), [(63, True), (64, False)])
def test_a_film_with_fewer_pixels_than_an_experts_input_is_flagged(side: int, low: bool) -> None:
    decoder = FakeDecoder(radiograph(chest_film(side, 50)))
    bench = Bench(solid("covid19", size_px=32), solid("pneumonia", size_px=64), decoder=decoder)

    assert ("low_resolution" in bench.screen(include=frozenset()).result.flags) is low


def test_the_ensemble_is_the_mean_of_its_members() -> None:
    members = [FakeNetwork(manifest(name, kind="multilabel", size_px=size)) for name, size in (("a", 32), ("b", 64))]

    ensemble = Bench(solid("covid19"), solid("pneumonia"), *members).screen().result.ensemble

    assert ensemble is not None
    for label in ensemble.labels:
        assert set(label.members) == {"a", "b"}
        assert label.probability == pytest.approx(sum(label.members.values()) / 2)


def test_a_submitted_film_is_answered_by_the_queue() -> None:
    bench = both()

    found = bench.service.submit(b"film", ScreeningOptions(include=frozenset())).result(PATIENCE_S)

    assert found.result.experts["covid19"].decision == "positive"
    assert set(found.result.timings_ms) == {"decode", "preprocess", "networks"}
    assert bench.queue.close(PATIENCE_S)


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"overlay_px": 15}, {"overlay_px": 4097}, {"opacity": -0.01}, {"opacity": 1.01}, {"opacity": math.nan},
        {"colormap": "rainbow"}, {"pretest_probability": 0.0}, {"pretest_probability": 1.0},
        {"pretest_probability": math.nan}, {"alphas": (1.0,) * 17},
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=r"overlay_size|opacity|colormap|pretest_probability|alpha"):
        ScreeningOptions(**options)


@pytest.mark.parametrize("alpha", [0.0, -1.0, 700.1, math.nan, math.inf])
def test_an_alpha_out_of_range_is_refused_by_the_kernel_s_code(alpha: float) -> None:
    with pytest.raises(DivergenceError) as refusal:
        ScreeningOptions(alphas=(15.0, alpha))

    assert refusal.value.reason is DivergenceReason.INVALID_ALPHA


@pytest.mark.parametrize(
    ("text", "parts"),
    [(None, set(DEFAULT_PARTS)), ("", set()), ("maps", {"maps"}), (" maps , regions,,", {"maps", "regions"})],
)
def test_include_is_a_comma_list(text: str | None, parts: set[str]) -> None:
    assert parse_include(text) == parts


def test_an_unknown_part_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequestError, match="'everything'"):
        parse_include("maps,everything")


@pytest.mark.parametrize(("text", "size"), [(None, 512), ("original", None), ("64", 64), ("0100", 100)])
def test_an_overlay_size_is_pixels_or_original(text: str | None, size: int | None) -> None:
    assert parse_overlay_size(text) == size


@pytest.mark.parametrize("text", ["", "1.5", "-1", "²", "large"])
def test_another_overlay_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="overlay_size"):
        parse_overlay_size(text)


@pytest.mark.parametrize(("height", "width", "on_film"), [(320, 320, True), (80, 320, False), (320, 80, False)])
def test_a_map_whose_peak_lies_in_the_padding_says_so(height: int, width: int, on_film: bool) -> None:
    bench = Bench(
        solid("covid19", cam=RISING),
        solid("pneumonia", cam=FALLING),
        decoder=FakeDecoder(radiograph(chest_film(height, width))),
    )

    result = bench.screen(include=frozenset({"maps"})).result

    assert ("peak_outside_film" in result.experts["covid19"].flags) is not on_film
    assert result.divergence is not None
    assert ("peak_outside_film" in result.divergence.maps[0].flags) is not on_film


def test_a_map_that_hardly_moves_the_logit_is_named_not_drawn_and_not_boxed() -> None:
    faint = RISING * 0.003  # its mean is 0.0075 logits
    bench = Bench(solid("covid19", cam=faint), solid("pneumonia", cam=FALLING))

    result = bench.screen(include=frozenset({"maps", "overlays", "regions"}), style="heatmap").result

    found = result.divergence
    assert found is not None
    assert result.experts["covid19"].flags == ("negligible_evidence",)
    assert "negligible_evidence" not in result.experts["pneumonia"].flags
    assert "x:negligible_evidence" in found.maps[0].flags
    assert found.maps[0].display.max() == 1.0
    assert found.regions == ((),)
    heat = [indices.max() for indices, _ in bench.encoder.palettes]
    assert heat[0] == heat[2] == 0
    assert heat[1] > 0


def test_a_divergence_that_is_nowhere_above_no_difference_says_so_and_boxes_nothing() -> None:
    weak, strong = np.zeros_like(RISING), np.ones_like(RISING)
    weak[0, 0], strong[0, 0] = 1.0, 4.0  # both peak in one cell; elsewhere only the second finds something
    bench = Bench(solid("covid19", cam=weak), solid("pneumonia", cam=strong))

    one = bench.screen(include=frozenset({"maps", "regions"})).result.divergence
    other = bench.screen(
        include=frozenset({"maps", "regions"}), interest="pneumonia", overlap="covid19"
    ).result.divergence

    assert one is not None
    assert other is not None
    assert one.maps[0].flags == ("nothing_specific",)
    assert one.regions == ((),)
    assert "nothing_specific" not in other.maps[0].flags
    assert other.regions[0]


@pytest.mark.parametrize("margin", [2.0, -2.0])
def test_the_predicted_class_s_map_is_that_of_the_larger_logit(margin: float) -> None:
    bench = Bench(solid("covid19", margin, RISING), solid("pneumonia", 1.0, FALLING))

    row = bench.screen(include=frozenset({"maps"})).result.experts["covid19"]
    predicted = bench.screen(include=frozenset({"maps"}), evidence="predicted").result.experts["covid19"]

    assert row.activation_map is not None
    assert predicted.activation_map is not None
    assert np.array_equal(row.activation_map, predicted.activation_map) is (margin > 0)
    assert ("out_of_class_map" in predicted.flags) is (margin < 0)
