"""`discern convert` in process: what training reads is what serving decodes."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli import main
from app.cli.exit_codes import OK, SOME_FAILED
from app.codecs.decoder import FilmDecoder
from app.domain.overlay import grey_levels
from tests.phantoms import chest_film, dicom_bytes, dicom_dataset, jpeg_bytes, png_bytes
from training.datasets import read_grey

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    (folder / "covid19" / "ward").mkdir(parents=True)
    (folder / "covid19" / "P1.png").write_bytes(png_bytes(chest_film(160, 128)))
    (folder / "covid19" / "P1.jpg").write_bytes(jpeg_bytes(chest_film(160, 128).astype(np.uint8)))
    (folder / "covid19" / "ward" / "P2").write_bytes(dicom_bytes(dicom_dataset(chest_film(160, 128, bits=12), bits=12)))
    return folder


def test_training_reads_the_pixels_that_serving_decodes(films: Path, tmp_path: Path, capsys: Captured) -> None:
    code = main(["convert", str(films), "--out", str(tmp_path / "png")])

    written = sorted(path.relative_to(tmp_path / "png").as_posix() for path in (tmp_path / "png").rglob("*.png"))
    assert code == OK
    assert written == ["covid19/P1-2.png", "covid19/P1.png", "covid19/ward/P2.png"]
    assert "3 written, 0 refused" in capsys.readouterr().err
    film = FilmDecoder().decode((films / "covid19" / "ward" / "P2").read_bytes())
    read = read_grey(tmp_path / "png" / "covid19" / "ward" / "P2.png")
    np.testing.assert_array_equal(read, grey_levels(film.pixels, 160, 128))
    assert len(np.unique(read)) > 50


def test_films_are_shrunk_to_a_longer_side_and_never_enlarged(films: Path, tmp_path: Path) -> None:
    for longer, height in ((80, 80), (4000, 160)):
        out = tmp_path / str(longer)
        assert (
            main(["convert", str(films / "covid19" / "P1.png"), "--out", str(out), "--longer-side", str(longer)]) == OK
        )
        with Image.open(io.BytesIO((out / "P1.png").read_bytes())) as image:
            assert (image.height, image.mode) == (height, "L")


def test_what_cannot_be_read_is_named_and_stops_nothing(films: Path, tmp_path: Path, capsys: Captured) -> None:
    (films / "broken.png").write_bytes(png_bytes(chest_film(160, 128))[:500])

    code = main(["convert", str(films), str(tmp_path / "absent.png"), "--out", str(tmp_path / "png")])

    said = capsys.readouterr().err
    assert code == SOME_FAILED
    assert "broken.png: unreadable_image: " in said
    assert "absent.png: unreadable_file: No such file" in said
    assert "3 written, 2 refused or failed" in said


def test_a_side_of_nothing_is_refused(films: Path, tmp_path: Path) -> None:
    assert main(["convert", str(films), "--out", str(tmp_path / "png"), "--longer-side", "0"]) == SOME_FAILED
    assert not (tmp_path / "png").exists()
