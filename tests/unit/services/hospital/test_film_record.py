from pathlib import Path

import numpy as np
import pytest

from app.bootstrap import open_services
from app.domain.errors import StorageUnavailableError
from app.services.hospital.film_record import read_record, record_of
from app.services.hospital.priors import LUNGS_NOT_FOUND, compared
from app.services.options import ScreeningOptions
from app.services.screening import Screening
from app.settings import load_settings


@pytest.fixture(scope="module")
def screening(release_with_lungs: Path, film_png: bytes) -> Screening:
    with open_services(load_settings({}, models_dir=release_with_lungs, device="cpu")) as services:
        return services.screening.screen(film_png, ScreeningOptions())


def test_a_record_keeps_what_a_later_film_is_compared_with(screening: Screening) -> None:
    content = record_of(screening)

    record = read_record(content)

    assert len(content) < 64 * 1024
    assert list(record.experts) == list(screening.result.experts)
    for name, kept in record.experts.items():
        said = screening.result.experts[name]
        assert (kept.logit, kept.probability, kept.decision) == (said.logit, said.probability, said.decision)
        assert kept.extent == said.extent
        assert kept.values is not None
        assert said.activation_map is not None
        np.testing.assert_allclose(kept.values, said.activation_map, rtol=1e-6)
    lungs = screening.result.lungs
    assert lungs is not None
    assert record.lungs is not None
    np.testing.assert_allclose(record.lungs.probability, lungs.probability, atol=0.5 / 255 + 1e-6)


def test_a_film_compared_with_itself_has_not_changed(screening: Screening) -> None:
    record = read_record(record_of(screening))

    changes = compared(record, record)

    assert set(changes) == set(record.experts)
    for change in changes.values():
        assert change.probability == change.earlier_probability
        assert change.divergence is not None
        assert float(np.abs(change.divergence.new.log_k).max()) == 0.0


def test_without_lungs_only_numbers_are_compared(screening: Screening) -> None:
    record = read_record(record_of(screening))
    blind = type(record)(record.film_height, record.film_width, None, record.experts, None)

    changes = compared(record, blind)

    assert all(change.divergence is None and LUNGS_NOT_FOUND in change.flags for change in changes.values())


def test_other_weights_are_not_compared(screening: Screening) -> None:
    record = read_record(record_of(screening))
    from dataclasses import replace

    other = replace(record, experts={name: replace(each, sha256="0" * 64) for name, each in record.experts.items()})

    assert compared(record, other) == {}


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04" + b"\0" * 30])
def test_what_is_no_record_is_said(content: bytes) -> None:
    with pytest.raises(StorageUnavailableError):
        read_record(content)
