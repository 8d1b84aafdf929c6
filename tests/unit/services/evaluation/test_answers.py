"""What the serving path said of every film, and what is kept of it."""

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from app.inference.catalogue import Catalogue, CatalogueFile
from app.services.evaluation.answers import Unanswered, ask, passes, paths_of
from app.services.evaluation.cases import Case, read_cases
from app.services.options import ScreeningOptions
from app.services.screening import Screening, ScreeningService
from tests.fakes import FakeNetwork, manifest
from tests.unit.services.evaluation.bench import BROKEN, EXPERTS, REFUSED, Bench, open_bench, write_films


@pytest.fixture
def bench() -> Iterator[Bench]:
    with open_bench() as opened:
        yield opened


def test_every_film_is_asked_of_every_expert(bench: Bench, tmp_path: Path) -> None:
    cases = read_cases(write_films(tmp_path, 20), bench.labels)
    done: list[int] = []

    answers = ask(bench.service, bench.catalogue, cases, 2, done.append, iter((10.0, 14.0)).__next__)

    expected = [bench.probability(int(case.path.read_bytes())) for case in cases]
    assert set(answers.experts) == set(EXPERTS)
    for found in answers.experts.values():
        np.testing.assert_allclose(found.probabilities, expected, rtol=1e-6)
        assert found.decisions == [
            "positive" if p >= 0.75 else "indeterminate" if p >= 0.65 else "negative" for p in found.probabilities
        ]
    assert answers.unanswered == {}
    assert answers.wall_s == 4.0
    assert sum(done) == len(cases) * len(passes(bench.catalogue)) == 40
    assert set(answers.film_ms) == set(range(20))
    assert sum(answers.stages_ms.values()) == pytest.approx(sum(answers.film_ms.values()))


def test_a_film_without_an_answer_says_why_and_has_no_probability(bench: Bench, tmp_path: Path) -> None:
    cases = read_cases(write_films(tmp_path, 12), bench.labels)
    (tmp_path / "4.png").write_bytes(BROKEN)
    (tmp_path / "5.png").write_bytes(REFUSED)
    (tmp_path / "6.png").unlink()
    (tmp_path / "7.png").write_bytes(b"no number")

    answers = bench.answers(cases, 1)

    assert answers.unanswered == {
        4: Unanswered("unreadable_image", "failed"),
        5: Unanswered("lateral_view", "refused"),
        6: Unanswered("unreadable_image", "failed"),
        7: Unanswered("failed", "failed"),
    }
    for found in answers.experts.values():
        assert np.flatnonzero(np.isnan(found.probabilities)).tolist() == [4, 5, 6, 7]
        assert [k for k, decision in enumerate(found.decisions) if decision is None] == [4, 5, 6, 7]


class FlaggingService:
    """The same answers, flagged, with what is only known where lungs are."""

    def __init__(self, service: ScreeningService) -> None:
        self._service = service

    def submit(self, content: bytes, options: ScreeningOptions) -> "Future[Screening]":
        screening = self._service.screen(content, options)
        experts = {
            name: replace(finding, outside_lungs=0.25, flags=("peak_outside_film",))
            for name, finding in screening.result.experts.items()
        }
        result = replace(screening.result, experts=experts, flags=("paediatric", "inverted", "paediatric"))
        future: Future[Screening] = Future()
        future.set_result(replace(screening, result=result))
        return future


def test_flags_of_films_and_of_maps_are_kept_once_a_film(bench: Bench, tmp_path: Path) -> None:
    cases = read_cases(write_films(tmp_path, 6), bench.labels)
    service = cast(ScreeningService, FlaggingService(bench.service))  # all of it that is asked

    answers = ask(service, bench.catalogue, cases, 2, lambda _: None)

    assert answers.flags == dict.fromkeys(range(6), ("paediatric", "inverted"))
    for found in answers.experts.values():
        assert found.map_flags == {"peak_outside_film": 6}
        assert found.outside_lungs.tolist() == [0.25] * 6


def catalogue_of(experts: tuple[str, ...], pairs: tuple[tuple[str, str], ...]) -> Catalogue:
    networks = {name: FakeNetwork(manifest(name)) for name in experts}
    networks["member"] = FakeNetwork(manifest("member", kind="multilabel"))
    content = {
        "schema": "discern-catalogue/1",
        "pairs": [{"interest": interest, "overlap": overlap} for interest, overlap in pairs],
    }
    return Catalogue(networks, {}, CatalogueFile.model_validate(content))


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ((("a", "b"),), [("a", "b"), ("c", "c"), ("d", "d")]),
        ((("a", "b"), ("c", "d")), [("a", "b"), ("c", "d")]),
        ((("a", "b"), ("b", "c")), [("a", "b"), ("c", "c"), ("d", "d")]),
    ],
)
def test_every_expert_is_asked_once_and_only_beside_the_one_it_is_shipped_with(
    pairs: tuple[tuple[str, str], ...], expected: list[tuple[str, str]]
) -> None:
    assert passes(catalogue_of(("a", "b", "c", "d"), pairs)) == expected


def test_films_are_named_as_the_manifest_names_them(tmp_path: Path) -> None:
    facts = ("x", "g", None, "", "", (1.0,))
    cases = [Case(tmp_path / "films" / "a.png", *facts), Case(Path("/elsewhere/b.png"), *facts)]

    assert paths_of(cases, tmp_path / "manifest.csv") == ["films/a.png", "/elsewhere/b.png"]
