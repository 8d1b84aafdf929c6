"""Every film is cut into every subgroup it belongs to, and into no other."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.subgroups import AGES, POOLED, age_of, paediatric_sources, subgroups, view_of
from tests.unit.domain.strategies import LAW


@dataclass(frozen=True)
class Facts:
    source: str = "here"
    paediatric: bool | None = False
    view: str = "PA"
    sex: str = "F"


FILMS = st.lists(
    st.builds(
        Facts,
        st.sampled_from(("here", "there", "kids")),
        st.sampled_from((True, False, None)),
        st.sampled_from(("AP", "AP Supine", "PA", "", "L")),
        st.sampled_from(("F", "M", "")),
    ),
    min_size=1,
    max_size=20,
)


@LAW
@given(films=FILMS)
def test_every_film_is_in_one_source_one_age_and_one_view(films: list[Facts]) -> None:
    cut = subgroups(films)

    for names in ("source ", "view "):
        assert (np.sum([where for name, where in cut.items() if name.startswith(names)], axis=0) == 1).all()
    assert (np.sum([where for name, where in cut.items() if name in AGES], axis=0) == 1).all()
    assert cut[POOLED].all()
    assert next(iter(cut)) == POOLED


@LAW
@given(films=FILMS)
def test_a_crossed_cell_is_its_source_and_its_age(films: list[Facts]) -> None:
    cut = subgroups(films)
    crossed = {name: where for name, where in cut.items() if ", " in name}

    for name, where in crossed.items():
        source, age = name.split(", ")
        np.testing.assert_array_equal(where, cut[f"source {source}"] & cut[age])
    for source in {film.source for film in films}:
        ages = {age_of(film) for film in films if film.source == source}
        assert sum(name.startswith(f"{source}, ") for name in crossed) == (len(ages) if len(ages) > 1 else 0)


@LAW
@given(films=FILMS)
def test_only_purely_paediatric_sources_are_left_out_by_name(films: list[Facts]) -> None:
    cut = subgroups(films)

    children = {s for s in {f.source for f in films} if all(f.paediatric is True for f in films if f.source == s)}
    assert set(paediatric_sources(films)) == children
    for source in children:
        if len({film.source for film in films}) > 1:
            np.testing.assert_array_equal(cut[f"without {source}"], ~cut[f"source {source}"])
        else:
            assert f"without {source}" not in cut


def test_of_no_films_there_is_an_empty_pool() -> None:
    cut = subgroups([])

    assert list(cut) == [POOLED]
    assert cut[POOLED].shape == (0,)


@pytest.mark.parametrize(("view", "name"), [("AP Supine", "AP"), ("PA", "PA"), ("", "not stated"), ("L", "not stated")])
def test_supine_films_are_ap_films(view: str, name: str) -> None:
    assert view_of(Facts(view=view)) == name
