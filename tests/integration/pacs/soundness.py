"""What every object of ours must be, wherever it came from: rendered without harm, coded as the dictionaries say."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from tests.integration.pacs import oracle, validators
from tests.integration.pacs.orthanc import Orthanc


def problems(archive: Orthanc, found: Iterable[oracle.Result], findings: int) -> list[str]:
    """What the validators hold against objects, by kind.

    Pixelmed takes half a minute for a report of every label: it looks at no more than so many of them.
    """
    objects = [(each.kind, kept(archive, each)) for each in found]
    long = [content for kind, content in objects if kind == oracle.FINDINGS][findings:]

    def errors(content: bytes) -> list[str]:
        return validators.dciodvfy(content) if content in long else validators.errors(content)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        said = pool.map(errors, [content for _, content in objects])
    return [f"{kind}: {line}" for (kind, _), lines in zip(objects, said, strict=True) for line in lines]


def kept(archive: Orthanc, result: oracle.Result) -> bytes:
    """An object as the archive keeps it."""
    identifier = archive.find(result.sop_instance_uid)
    assert identifier is not None
    return archive.file(identifier)


def assert_survives_rendering(archive: Orthanc, found: Iterable[oracle.Result]) -> None:
    """Let the archive draw every object in every way it knows; pictures must be drawn, and it must live."""
    for each in found:
        identifier = archive.find(each.sop_instance_uid)
        for path in ("preview", "rendered", "image-uint8", "simplified-tags", "header"):
            archive.rest.get(f"/instances/{identifier}/{path}")
        series = each.dataset.SeriesInstanceUID
        archive.rest.get(
            f"/dicom-web/studies/{each.study_instance_uid}/series/{series}/instances/{each.sop_instance_uid}/rendered"
        )
        assert archive.is_alive, f"a {each.kind} has killed the archive"
        if each.kind == oracle.PICTURE:
            answer = archive.rest.get(f"/instances/{identifier}/rendered", headers={"Accept": "image/png"})
            assert answer.status_code == 200
            assert answer.content.startswith(b"\x89PNG")


def assert_codes_mean_what_they_say(found: Iterable[oracle.Result]) -> None:
    """Every code of the DICOM scheme is in pydicom's dictionary under our meaning; no code has two meanings."""
    triples = {
        (str(each.CodeValue), str(each.CodingSchemeDesignator), str(each.CodeMeaning))
        for result in found
        for each in coded(result.dataset)
    }
    known = {(code.value, code.meaning) for code in (getattr(codes.DCM, name) for name in codes.DCM.dir())}
    said = {(value, meaning) for value, scheme, meaning in triples if scheme == "DCM"}
    assert len(triples) > 10
    assert said <= known, said - known
    values = [(value, scheme) for value, scheme, _ in triples]
    assert len(set(values)) == len(values), "one code has two meanings"


def coded(read: Dataset) -> Iterator[Dataset]:
    """Every coded concept in an object."""
    for element in read:
        if element.VR == "SQ":
            for item in element.value:
                if "CodeValue" in item and "CodingSchemeDesignator" in item:
                    yield item
                yield from coded(item)
