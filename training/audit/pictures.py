"""Sheets to look at: the film with what was drawn on it, both experts' maps, and the directed divergence both ways.

Sheets of real films show patients: they are never written into the repository (`outside_repository`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.domain.activation_map import positive_share
from app.domain.arrays import HeatMap, RgbImage
from app.domain.directed_divergence import DEFAULT_ALPHA, directed_divergence
from app.domain.errors import ImageRefusedError
from app.domain.overlay import blend
from training.audit.expert_pair import Expert, FilmMaps, FindsLungs, film_maps
from training.audit.marked_films import MarkedFilm, Mask

FILMS_A_SHEET: Final = 6
_TILE_PX: Final = 160
_CAPTION_PX: Final = 20
_GAP_PX: Final = 2
_COLOURS: Final = 160
_REPOSITORY: Final = Path(__file__).resolve().parents[2]

Colour = tuple[int, int, int]
RED: Final[Colour] = (255, 64, 64)
GREEN: Final[Colour] = (64, 255, 64)
BLUE: Final[Colour] = (80, 170, 255)


@dataclass(frozen=True, slots=True)
class PicturedFilm:
    """One row of a sheet: the film ``(H, W)``, its maps, and what to outline in which colour."""

    grey: NDArray[np.uint8]
    maps: FilmMaps
    outlines: tuple[tuple[Mask, Colour], ...]


def outside_repository(folder: Path) -> Path:
    """Give a folder back if patients' films may be written there: anywhere but in this repository.

    Raises
    ------
    ValueError
        If it lies inside.
    """
    resolved = folder.resolve()
    if resolved.is_relative_to(_REPOSITORY):
        raise ValueError(f"{folder} is inside the repository: pictures show patients' films, write them elsewhere")
    return resolved


def write_sheets(
    interest: Expert, overlap: Expert, films: Sequence[MarkedFilm], lungs: FindsLungs | None, out: Path
) -> list[Path]:
    """Write sheets of marked films, some films each; films that serving refuses are left out.

    Parameters
    ----------
    interest, overlap
        The experts.
    films
        With what was drawn on them.
    lungs
        Finds the lungs; None where there is no lungs model.
    out
        A folder outside the repository; made if it is not there.

    Returns
    -------
    list of Path
        The files, ``maps-01.png`` and on.
    """
    folder = outside_repository(out)
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(_pictured(interest, overlap, films, lungs))
    files = []
    for start in range(0, len(rows), FILMS_A_SHEET):
        files.append(folder / f"maps-{start // FILMS_A_SHEET + 1:02d}.png")
        write_sheet(rows[start : start + FILMS_A_SHEET], interest.name, overlap.name, files[-1])
    return files


def _pictured(
    interest: Expert, overlap: Expert, films: Sequence[MarkedFilm], lungs: FindsLungs | None
) -> Iterator[PicturedFilm]:
    for film in films:
        try:
            maps = film_maps(interest, overlap, film.grey, lungs)
        except ImageRefusedError:
            continue
        yield PicturedFilm(film.grey, maps, ((film.mask, RED),))


def write_sheet(
    rows: Sequence[PicturedFilm], interest: str, overlap: str, file: Path, alpha: float = DEFAULT_ALPHA
) -> None:
    """Write one sheet as a PNG of few colours."""
    picture = Image.fromarray(sheet(rows, interest, overlap, alpha))
    picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)


def sheet(rows: Sequence[PicturedFilm], interest: str, overlap: str, alpha: float = DEFAULT_ALPHA) -> RgbImage:
    """Draw one sheet: a row a film, five columns, captions above.

    Parameters
    ----------
    rows
        The films, at least one.
    interest, overlap
        Names of the classes.
    alpha
        Amplification.

    Returns
    -------
    RgbImage
        ``(H, W, 3)``.
    """
    captions = ("film", f"CAM {interest}", f"CAM {overlap}", f"{interest} over {overlap}", f"{overlap} over {interest}")
    lines = [_spread([_caption(text) for text in captions])]
    lines += [_spread(_tiles(row, alpha)) for row in rows]
    return np.concatenate(lines, axis=0)


def _tiles(row: PicturedFilm, alpha: float) -> list[RgbImage]:
    maps = row.maps
    over = directed_divergence(maps.interest, maps.overlap, alpha).display
    under = directed_divergence(maps.overlap, maps.interest, alpha).display
    heats = [
        maps.over_film(shown) for shown in (positive_share(maps.interest), positive_share(maps.overlap), over, under)
    ]
    return [_film_tile(row), *(_heat_tile(row.grey, heat) for heat in heats)]


def _fitted(height: int, width: int) -> tuple[int, int]:
    """Width and height of a film inside a tile."""
    longer = max(height, width)
    return max(1, round(width * _TILE_PX / longer)), max(1, round(height * _TILE_PX / longer))


def _centred(picture: RgbImage) -> RgbImage:
    tile = np.zeros((_TILE_PX, _TILE_PX, 3), np.uint8)
    top, left = (_TILE_PX - picture.shape[0]) // 2, (_TILE_PX - picture.shape[1]) // 2
    tile[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return tile


def _film_tile(row: PicturedFilm) -> RgbImage:
    size = _fitted(*row.maps.shape)
    picture = cv2.cvtColor(cv2.resize(row.grey, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2RGB)
    for mask, colour in row.outlines:
        fitted = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        contours, _ = cv2.findContours(fitted, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, colour, 2)
    return _centred(np.asarray(picture, np.uint8))


def _heat_tile(grey: NDArray[np.uint8], heat: HeatMap) -> RgbImage:
    size = _fitted(grey.shape[0], grey.shape[1])
    fitted = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
    warm: HeatMap = np.asarray(cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR), np.float32)
    return _centred(blend(fitted, warm))


def _caption(text: str) -> RgbImage:
    strip = np.zeros((_CAPTION_PX, _TILE_PX, 3), np.uint8)
    cv2.putText(strip, text, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1, cv2.LINE_AA)
    return strip


def _spread(tiles: Sequence[RgbImage]) -> RgbImage:
    """Put tiles side by side with a narrow gap on the right and below."""
    padded = [np.pad(tile, ((0, _GAP_PX), (0, _GAP_PX), (0, 0)), constant_values=60) for tile in tiles]
    return np.concatenate(padded, axis=1)
