"""The picture of an answer: room for its words whatever the film's shape, and words where nothing is drawn."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from app.domain.screening import NEGLIGIBLE_EVIDENCE
from app.pacs.picture import picture_of
from app.services.hospital.records import ResultContext
from app.services.rendering import Picture
from app.services.screening import Screening


@pytest.mark.parametrize(("width", "height"), [(60, 768), (768, 60), (768, 768), (1, 1)])
def test_films_of_every_shape_have_room_for_the_words(
    width: int, height: int, screening: Screening, context: ResultContext
) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "PNG")
    blank = Picture(buffer.getvalue(), width, height)
    pictures = screening.pictures
    assert pictures is not None
    shaped = replace(pictures, experts=dict.fromkeys(pictures.experts, blank), divergence=(blank,))

    drawn = picture_of(replace(screening, pictures=shaped), context)

    assert drawn.shape[1] >= 1000
    assert drawn.shape[0] * drawn.shape[1] < 2_500_000


def test_a_map_that_is_not_drawn_says_so(screening: Screening, context: ResultContext) -> None:
    result = screening.result
    weak = {name: replace(each, flags=(NEGLIGIBLE_EVIDENCE,)) for name, each in result.experts.items()}

    plain = picture_of(screening, context)
    noted = picture_of(replace(screening, result=replace(result, experts=weak)), context)

    assert plain.shape == noted.shape
    assert np.any(plain != noted)
