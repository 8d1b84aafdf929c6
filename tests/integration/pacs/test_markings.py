"""Segmentations and presentation states in a real PACS: kept as they are, rendered without harm, recognised as ours."""

import io
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from app.bootstrap import open_services
from app.codecs.dicom_identity import DicomObjectReader
from app.codecs.limits import DecodeLimits
from app.domain.result_identity import ResultKind
from app.pacs.result_builder import DicomResultBuilder
from app.services.hospital.records import ResultContext, ResultObject
from app.services.options import ScreeningOptions
from app.settings import load_settings
from tests.integration.pacs import films
from tests.integration.pacs.hospital import Hospital, store_destination, stow_destination
from tests.integration.pacs.orthanc import PASSWORD, USER, Orthanc, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow]
CONTEXT = ResultContext("models-1", datetime(2026, 1, 1, tzinfo=UTC))
KINDS = frozenset({ResultKind.SEGMENTATION, ResultKind.PRESENTATION_STATE})
SOP_CLASSES = {"SegmentationStorage", "GrayscaleSoftcopyPresentationStateStorage"}
SOURCES: dict[str, tuple[int, dict[str, Any]]] = {
    "CR": (3, {}),
    "DX": (4, {}),
    "with a frame of reference": (4, {"FrameOfReferenceUID": "1.2.3.4.5"}),
    "with tables": (4, {"VOILUTSequence": [films.lookup_table(-100, range(4096))], "RescaleIntercept": "-100"}),
    "with a pixel spacing": (4, {"PixelSpacing": ["0.15", "0.15"]}),
}


def built(release: Path, number: int, **elements: Any) -> tuple[bytes, tuple[ResultObject, ...]]:
    """A film with its markings: those of a positive one, whatever the elements make it look like."""
    film = films.film(number, series="marked", **elements)
    with open_services(load_settings({}, models_dir=release, device="cpu")) as services:
        screening = services.screening.screen(films.film(number).content, ScreeningOptions(overlay_px=256))
    source = DicomObjectReader(DecodeLimits(), b"key").identify(film.content)
    assert source is not None
    return film.content, DicomResultBuilder().answered(source, screening, CONTEXT, KINDS)


@pytest.mark.parametrize("gdcm", [{}, {"Gdcm": {"Enable": True}}], ids=["gdcm for JPEG 2000", "gdcm for everything"])
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_f13_a_pacs_survives_rendering_what_marks_a_film(
    start_orthanc: Callable[..., Orthanc],
    release_with_lungs: Path,
    source: tuple[int, dict[str, Any]],
    gdcm: dict[str, Any],
) -> None:
    pacs = start_orthanc(settings=gdcm)
    number, elements = source
    film, objects = built(release_with_lungs, number, **elements)
    pacs.store(film)
    assert {each.kind for each in objects} == KINDS

    statuses = {}
    for each in objects:
        identifier = pacs.store(each.content)
        where = f"/instances/{identifier}"
        for path in ("preview", "rendered", "image-uint8", "simplified-tags", "frames/0/preview", "frames/0/rendered"):
            pacs.rest.get(f"{where}/{path}")
            assert pacs.is_alive, f"a {each.kind} has killed the archive at {path}"
        where = f"/dicom-web/studies/{each.study_instance_uid}/series/{each.series_instance_uid}"
        for path in ("rendered", "frames/1/rendered", "frames/1", "metadata"):
            answer = pacs.rest.get(f"{where}/instances/{each.sop_instance_uid}/{path}")
            assert pacs.is_alive, f"a {each.kind} has killed the archive at {path}"
            statuses[each.kind, path] = answer.status_code
        assert pacs.file(identifier) == each.content

    assert statuses[ResultKind.SEGMENTATION, "rendered"] == 200
    assert pacs.answers()


LOOKS: dict[str, dict[str, Any]] = {
    "window": {},
    "MONOCHROME1": {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    "sigmoid": {"VOILUTFunction": "SIGMOID", "WindowCenter": "1500", "WindowWidth": "900"},
    "rescaled": {"RescaleSlope": "2", "RescaleIntercept": "-100", "WindowCenter": "2000", "WindowWidth": "1500"},
    "table": {"VOILUTSequence": [films.lookup_table(0, [n * n % 65536 for n in range(4096)])], "WindowCenter": None},
}


@pytest.mark.skipif(shutil.which("dcmp2pgm") is None, reason="no dcmp2pgm here (apt-get install dcmtk)")
@pytest.mark.parametrize("elements", LOOKS.values(), ids=LOOKS.keys())
def test_another_toolkit_shows_a_film_in_its_state_as_by_itself(
    elements: dict[str, Any], release_with_lungs: Path, tmp_path: Path
) -> None:
    film, objects = built(release_with_lungs, 4, **elements)
    (state,) = [each.content for each in objects if each.kind is ResultKind.PRESENTATION_STATE]
    (tmp_path / "film.dcm").write_bytes(film)
    (tmp_path / "state.dcm").write_bytes(state)

    for shown, options in (("alone", []), ("state", ["--pstate", "state.dcm"])):
        command = ["dcmp2pgm", *options, "film.dcm", f"{shown}.pgm"]
        subprocess.run(command, check=True, capture_output=True, timeout=60, cwd=tmp_path)
    checked = subprocess.run(["dcmpschk", "state.dcm"], check=True, capture_output=True, timeout=60, cwd=tmp_path)

    alone, with_state = (np.asarray(Image.open(tmp_path / f"{shown}.pgm")) for shown in ("alone", "state"))
    assert len(np.unique(alone)) > 10
    np.testing.assert_array_equal(with_state, alone)
    assert b"Test passed" in checked.stdout + checked.stderr


@pytest.mark.parametrize("way", ["stow", "c-store"])
def test_markings_are_delivered_read_back_and_never_screened(
    way: str, pacs: Orthanc, hospital: Callable[..., Hospital]
) -> None:
    wanted = sorted(KINDS)
    read_back = {"confirm": "content", "query_url": pacs.dicom_web_url, "user": USER, "password": PASSWORD}
    destination = (
        stow_destination(pacs, objects=wanted, confirm="content")
        if way == "stow"
        else store_destination(pacs, objects=wanted, **read_back)
    )
    discern = hospital(destinations=[destination]).start()
    film = films.film(3, series="delivered")

    discern.send([film])
    discern.wait_idle(1)

    kept = [pacs.file(identifier) for identifier in pacs.instances().values()]
    read = [dcmread(io.BytesIO(content)) for content in kept]
    assert sorted(each.SOPClassUID.keyword for each in read) == sorted(SOP_CLASSES)
    assert {each.StudyInstanceUID for each in read} == {film.study_instance_uid}
    discern.send(
        [films.Film(0, str(each.SOPInstanceUID), str(each.StudyInstanceUID), content) for each, content in
         zip(read, kept, strict=True)]
    )  # fmt: skip
    wait_until(lambda: discern.summary()["arrivals"].get("own_result", 0) == len(kept), "our own objects are dropped")
    assert sum(discern.summary()["jobs"].values()) == 1
