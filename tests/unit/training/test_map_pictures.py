"""Sheets of maps: what is drawn where, and where sheets of patients may not be written."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.domain.preprocessing import InputSpecification
from tests.unit.training.planted_experts import SIZE_PX, cell_mask, left_half, planted, spot
from training.audit.expert_pair import film_maps
from training.audit.marked_films import MarkedFilm
from training.audit.pictures import FILMS_A_SHEET, RED, PicturedFilm, outside_repository, sheet, write_sheets


def test_a_sheet_has_a_row_a_film_and_the_mask_is_outlined() -> None:
    maps = film_maps(planted("a"), planted("b", left_half), spot(2, 2), None)
    row = PicturedFilm(spot(2, 2), maps, ((cell_mask(2, 2), RED),))

    one, two = sheet([row], "a", "b"), sheet([row, row], "a", "b")

    assert two.shape[0] - one.shape[0] == 162
    assert one.shape[1] == 5 * 162
    reds = (one == np.array(RED)).all(axis=2)
    assert reds.any()
    assert not reds[:, 162:].any()


def test_the_hot_place_is_coloured_and_the_cold_is_not() -> None:
    film = spot(4, 6)
    maps = film_maps(planted("a"), planted("b", left_half), film, None)

    tile = sheet([PicturedFilm(film, maps, ())], "a", "b")[22:182, 3 * 162 : 3 * 162 + 160].astype(int)

    spread = np.ptp(tile, axis=2)
    assert spread[90, 130] > 60  # centre of cell (4, 6) of 8 in a tile of 160
    assert spread[30, 30] < 10


def test_sheets_hold_a_few_films_each_and_leave_refused_ones_out(tmp_path: Path) -> None:
    stretched = InputSpecification(SIZE_PX, 1, mean=(0.0,), std=(1.0,))
    experts = planted("a", specification=stretched), planted("b", left_half, specification=stretched)
    marked = [MarkedFilm(spot(1, k % 8), cell_mask(1, 1), "k", "val", str(k), str(k)) for k in range(FILMS_A_SHEET + 1)]
    blank = MarkedFilm(np.full((64, 64), 9, np.uint8), cell_mask(1, 1), "k", "val", "blank", "blank")

    files = write_sheets(*experts, [blank, *marked], None, tmp_path / "sheets")

    assert [file.name for file in files] == ["maps-01.png", "maps-02.png"]
    heights = []
    for file in files:
        with Image.open(file) as picture:
            heights.append(picture.height)
    assert heights[0] - heights[1] == (FILMS_A_SHEET - 1) * 162


def test_no_sheet_is_written_into_the_repository(tmp_path: Path) -> None:
    assert outside_repository(tmp_path) == tmp_path.resolve()
    with pytest.raises(ValueError, match="inside the repository"):
        outside_repository(Path("docs/images"))
