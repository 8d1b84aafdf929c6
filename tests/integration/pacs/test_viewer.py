"""F12, F13: what a radiologist's viewer shows of our objects, and that a PACS survives rendering them."""

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.bootstrap import open_services
from app.codecs.dicom_identity import DicomObjectReader
from app.codecs.limits import DecodeLimits
from app.domain.result_identity import ResultKind
from app.pacs.result_builder import DicomResultBuilder
from app.services.hospital.records import Refusal, ResultContext, ResultObject
from app.services.options import ScreeningOptions
from app.settings import load_settings
from tests.integration.pacs import films, ohif
from tests.integration.pacs.orthanc import Orthanc

pytestmark = [pytest.mark.integration, pytest.mark.slow]
CONTEXT = ResultContext("models-1", datetime(2026, 1, 1, tzinfo=UTC))
KINDS = frozenset(
    {ResultKind.SECONDARY_CAPTURE, ResultKind.REGIONS_REPORT, ResultKind.FINDINGS_REPORT, ResultKind.TEXT_REPORT}
)


@pytest.fixture
def objects(pacs: Orthanc, release_with_lungs: Path) -> dict[ResultKind, ResultObject]:
    """A positive film and its results in a PACS."""
    film = films.film(3)
    with open_services(load_settings({}, models_dir=release_with_lungs, device="cpu")) as services:
        screening = services.screening.screen(film.content, ScreeningOptions(overlay_px=768))
    source = DicomObjectReader(DecodeLimits(), b"key").identify(film.content)
    assert source is not None
    built = DicomResultBuilder().answered(source, screening, CONTEXT, KINDS)
    pacs.store(film.content)
    for each in built:
        pacs.store(each.content)
    return {each.kind: each for each in built}


def test_f13_a_pacs_survives_rendering_every_object(pacs: Orthanc, objects: dict[ResultKind, ResultObject]) -> None:
    source = DicomObjectReader(DecodeLimits(), b"key").identify(films.film(4).content)
    assert source is not None
    for each in DicomResultBuilder().refused(source, Refusal("lateral_view", "LL"), CONTEXT, KINDS):
        pacs.store(each.content)
    for identifier in pacs.instances():
        pacs.rest.get(f"/instances/{identifier}/preview")
        pacs.rest.get(f"/instances/{identifier}/rendered")
    capture = objects[ResultKind.SECONDARY_CAPTURE]
    rendered = pacs.rest.get(
        f"/dicom-web/studies/{capture.study_instance_uid}/series/{capture.series_instance_uid}"
        f"/instances/{capture.sop_instance_uid}/rendered"
    )

    assert rendered.status_code == 200
    assert pacs.is_alive
    assert pacs.answers()


def test_f12_a_viewer_shows_the_picture_and_the_boxes(
    pacs: Orthanc, objects: dict[ResultKind, ResultObject], tmp_path: Path
) -> None:
    if reason := ohif.why_not():
        pytest.skip(reason)
    assert ResultKind.REGIONS_REPORT in objects
    study = objects[ResultKind.SECONDARY_CAPTURE].study_instance_uid
    kept = Path(os.environ.get("DISCERN_SCREENSHOTS", str(tmp_path)))
    with ohif.viewer(pacs, tmp_path / "viewer") as address, ohif.browser_page() as page:
        ohif.open_study(page, address, study)
        ohif.open_series(page, "Discern AI overlay")
        page.screenshot(path=kept / "ohif-sc.png")
        ohif.open_series(page, "Discern AI regions")
        page.wait_for_timeout(6_000)
        page.screenshot(path=kept / "ohif-sr.png")
        shown = page.locator("body").inner_text()

    picture, boxes = (
        np.asarray(Image.open(kept / f"ohif-{name}.png").convert("RGB")).astype(int) for name in ("sc", "sr")
    )
    coloured = (picture.max(axis=2) - picture.min(axis=2) > 60).mean()
    assert coloured > 0.001, "no colour on the screen: the capture is not shown"
    red, green, blue = np.moveaxis(boxes, 2, 0)
    drawn = (green > 180) & (blue < 90) & ((red > 180) | (red < 90))
    assert drawn.sum() > 500, "no yellow or green line on the screen: the boxes are not shown"
    assert "Discern AI regions" in shown
