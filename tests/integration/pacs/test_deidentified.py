"""De-identified films in every transfer syntax: nothing of the patient, every pixel, and no error for dciodvfy."""

from pathlib import Path

import numpy as np
import pytest

from app.codecs.decoder import FilmDecoder
from app.codecs.limits import DecodeLimits
from app.pacs.deidentify import ExportOptions, deidentified
from tests.integration.pacs.films import CANARY, dataset, transfer_syntaxes
from tests.integration.pacs.validators import dciodvfy, why_not
from tests.phantoms import dicom_bytes

pytestmark = [pytest.mark.integration, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]

KEY = b"a key of this test, long enough"


@pytest.mark.parametrize("options", [ExportOptions(), ExportOptions(modified_dates=True, patient_characteristics=True)])
def test_every_transfer_syntax(tmp_path: Path, options: ExportOptions) -> None:
    decoder = FilmDecoder(DecodeLimits())
    films = transfer_syntaxes(7, tmp_path)
    assert len(films) > 12

    for name, (film, _) in films.items():
        assert CANARY.encode() in film.content or name.startswith("Deflated"), name
        exported = deidentified(film.content, KEY, options)

        assert CANARY.encode() not in exported, name
        assert film.sop_instance_uid.encode() not in exported, name
        before, after = decoder.decode(film.content), decoder.decode(exported)
        np.testing.assert_array_equal(after.pixels, before.pixels, err_msg=name)


@pytest.mark.parametrize("number", range(12))
def test_a_validator_finds_no_error_that_was_not_there_before(number: int) -> None:
    content = dicom_bytes(dataset(number))

    exported = deidentified(content, KEY, ExportOptions(modified_dates=number % 2 == 0))

    assert set(dciodvfy(exported)) <= set(dciodvfy(content))
