"""The drawn films are what they claim: read by pydicom and dcmtk, and by the codecs that ship."""

import io
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from app.codecs.decoder import FilmDecoder
from app.domain.errors import ImageRefusedError, ScreeningError
from tests.integration.pacs import films, hostile

pytestmark = pytest.mark.integration


def test_a_thousand_films_are_distinct_and_quickly_made() -> None:
    started = time.perf_counter()

    made = [films.film(number, series="many") for number in range(1000)]

    assert time.perf_counter() - started < 30
    assert len({each.sop_instance_uid for each in made}) == 1000
    assert len({dcmread(io.BytesIO(each.content)).PixelData for each in made}) == 1000
    assert len({each.study_instance_uid for each in made}) == 667
    assert films.film(7, series="many") == made[7]


def test_every_patient_is_named_in_a_character_set_that_holds_the_name() -> None:
    for patient, (character_set, name) in enumerate(films.NAMES):
        read = dcmread(io.BytesIO(films.film(3 * patient).content))

        assert str(read.PatientName).rstrip("^") == name.rstrip("^")
        assert str(read.PatientName).startswith(films.CANARY)
        assert read.SpecificCharacterSet == character_set


def test_twins_look_the_same_and_resent_films_are_the_same_object() -> None:
    second, first = films.monochrome_twins(3)
    decoder = FilmDecoder()
    kinds = [dcmread(io.BytesIO(each.content)).PhotometricInterpretation for each in (second, first)]
    assert kinds == ["MONOCHROME2", "MONOCHROME1"]
    assert first.sop_instance_uid != second.sop_instance_uid
    np.testing.assert_array_equal(decoder.decode(second.content).pixels, decoder.decode(first.content).pixels)

    again = films.resent(second)
    assert again != second.content
    assert dcmread(io.BytesIO(again)) == dcmread(io.BytesIO(second.content))
    other = dcmread(io.BytesIO(films.other_content(films.film(3)).content))
    assert other.SOPInstanceUID == films.film(3).sop_instance_uid
    assert other.PixelData != dcmread(io.BytesIO(films.film(3).content)).PixelData


def test_refusals_are_refused_by_the_codecs_for_what_they_are() -> None:
    for code, film in films.refusals().items():
        with pytest.raises(ImageRefusedError) as refused:
            FilmDecoder().decode(film.content)
        assert refused.value.problem_code == code


def test_every_transfer_syntax_shows_the_same_picture(tmp_path: Path) -> None:
    coded = films.transfer_syntaxes(5, tmp_path)
    decoder = FilmDecoder()
    plain = decoder.decode(coded["ExplicitVRLittleEndian/pydicom"][0].content).pixels.astype(np.float64)

    assert len(coded) >= 18
    for name, (film, lossless) in coded.items():
        shown = decoder.decode(film.content).pixels.astype(np.float64)
        scale = 257.0 if shown.max() < 256 < plain.max() else 1.0
        difference = float(np.abs(shown * scale - plain).max()) / float(plain.max())
        assert difference == 0 if lossless else difference < 0.1, name
        path = tmp_path / "film.dcm"
        path.write_bytes(film.content)
        assert subprocess.run(["dcmdump", "-q", str(path)], check=False, capture_output=True).returncode == 0


def test_hostile_objects_are_refused() -> None:
    decoder = FilmDecoder()

    for name, content in (hostile.refused_at_once() | {"jpeg 2000 bomb": hostile.jpeg2000_bomb()}).items():
        with pytest.raises(ScreeningError):
            decoder.decode(content)
        assert len(content) < 4 << 20, name
    for kind, film in hostile.polyglots().items():
        if kind in {"tiff", "script", "zip"}:  # PS3.10, 7.1 provides for TIFF; nothing ever executes or unpacks them
            assert decoder.decode(film.content).pixels.shape == (160, 144)
        else:
            with pytest.raises(ScreeningError):
                decoder.decode(film.content)
