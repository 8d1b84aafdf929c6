"""Distinct small films by the thousand: valid DX and CR objects of drawn patients, who all carry a word to search for.

A film is known by its number: the same number gives the same bytes. Every patient has three films in two studies.
"""

import copy
import hashlib
import io
import subprocess
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    ComprehensiveSRStorage,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from tests.phantoms import Opacity, chest_film, dicom_bytes, dicom_dataset

CANARY: Final = "Canarybird"
"""In every patient's name, identifier and accession number: found anywhere outside an object, it has leaked."""

BITS: Final = 12
NAMES: Final[tuple[tuple[str | list[str], str], ...]] = (
    ("ISO_IR 192", f"{CANARY}^Zoë^^^"),
    ("ISO_IR 100", f"{CANARY}^Jürgen"),
    (["", "ISO 2022 IR 87"], f"{CANARY}^Tarou=山田^太郎=やまだ^たろう"),
    ("GB18030", f"{CANARY}^XiaoDong=王^小东"),
    ("ISO_IR 144", f"{CANARY}^Иван"),
    (["", "ISO 2022 IR 149"], f"{CANARY}^Gildong=洪^吉洞=홍^길동"),
    ("", f"{CANARY}^Plain"),
)
"""Character sets and names that need them (PS3.3, C.12.1.1.2; PS3.5, annexes H to J)."""


@dataclass(frozen=True, slots=True)
class Film:
    """One film as a Part 10 file, and what tests know it by."""

    number: int
    sop_instance_uid: str
    study_instance_uid: str
    content: bytes


def uid(*parts: object) -> UID:
    """A UID that depends on what it is for."""
    words = "\0".join(map(str, parts)).encode()
    return UID(f"2.25.{int(hashlib.sha256(words).hexdigest()[:30], 16)}")


@lru_cache(maxsize=64)
def _drawn(seed: int, height: int, width: int) -> NDArray[Any]:
    """One of a few drawn chests; they differ in build and in what is wrong."""
    random = np.random.default_rng(seed)
    found = Opacity(random.uniform(0.2, 0.8), random.uniform(0.3, 0.7), 0.07, random.uniform(0.0, 0.5))
    film = chest_film(height, width, bits=BITS, opacities=(found,), seed=seed)
    film.setflags(write=False)
    return film


def pixels(number: int, height: int = 160, width: int = 144) -> NDArray[Any]:
    """The grey values of a film, 12 bits: a drawn chest with its number in the corner, so that no two are the same."""
    film = _drawn(number % 61, height, width).copy()
    film[0, :32] = [(number >> bit & 1) * 0xFFF for bit in range(32)]
    return film


def dataset(number: int, *, series: str = "", height: int = 160, width: int = 144, **elements: Any) -> Dataset:
    """One film as a data set.

    Parameters
    ----------
    number
        Which; 0 or more.
    series
        A word that tells the films of one test from those of another: it is in every UID and identifier.
    height, width
        Of the picture.
    elements
        Keyword to value, set last; None deletes the element.
    """
    patient = number // 3
    study = (patient, number % 3 > 0)
    character_set, name = NAMES[patient % len(NAMES)]
    taken = date(2026, 1, 1) + timedelta(days=patient % 300 + (30 if study[1] else 0))
    is_cr = number % 4 == 3
    sop_class = ComputedRadiographyImageStorage if is_cr else DigitalXRayImageStorageForPresentation
    values: dict[str, Any] = {
        "SOPClassUID": sop_class,
        "Modality": "CR" if is_cr else "DX",
        "SOPInstanceUID": uid(series, "instance", number),
        "SeriesInstanceUID": uid(series, "series", *study, number),
        "StudyInstanceUID": uid(series, "study", *study),
        "SpecificCharacterSet": character_set,
        "PatientName": name,
        "PatientID": f"{CANARY}-{series}{patient}",
        "IssuerOfPatientID": "Testbed",
        "PatientBirthDate": f"19{patient % 90 + 10}0203",
        "PatientSex": "FMO"[patient % 3],
        "AccessionNumber": f"{CANARY[:6]}{patient}{'ab'[study[1]]}",
        "StudyDate": taken.strftime("%Y%m%d"),
        "StudyTime": f"{number % 24:02d}1500",
        "StudyID": str(patient),
        "SeriesNumber": number % 3 + 1,
        "ReferringPhysicianName": f"{CANARY}^Referrer",
        "ViewPosition": "AP" if number % 5 == 4 else "PA",
    }
    if not is_cr:
        values |= {
            "AnatomicRegionSequence": [_code("816094009", "SCT", "Chest")],
            "DetectorType": "DIRECT",
            "PositionerType": "NONE",
            "AcquisitionContextSequence": [],
            "WindowCenter": 1 << BITS - 1,
            "WindowWidth": 1 << BITS,
        }
    else:
        values |= {"PresentationIntentType": None, "PixelIntensityRelationship": None, "ImageLaterality": None}
        values |= {
            "PixelIntensityRelationshipSign": None,
        }
    values |= elements
    given = {keyword: value for keyword, value in values.items() if value is not None}
    made = dicom_dataset(pixels(number, height, width), bits=BITS, elements=given)
    for keyword in values.keys() - given.keys():
        if keyword in made:
            delattr(made, keyword)
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made


def lookup_table(first: int, entries: Iterable[int], bits: int = 16) -> Dataset:
    """An item of a LUT sequence: entries for consecutive inputs from ``first`` on."""
    made = Dataset()
    values = list(entries)
    made.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(values), first, bits])
    made.add_new("LUTData", "OW", np.asarray(values, "<u2").tobytes())
    return made


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    """One coded concept."""
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, scheme, meaning
    return made


def film(number: int, *, series: str = "", **elements: Any) -> Film:
    """One film as a file; arguments are those of `dataset`."""
    made = dataset(number, series=series, **elements)
    return Film(number, made.SOPInstanceUID, made.StudyInstanceUID, dicom_bytes(made))


def other_content(of: Film, *, series: str = "") -> Film:
    """The same film by all its UIDs, with another picture: a conflict."""
    changed = dataset(of.number, series=series)
    stored = np.frombuffer(changed.PixelData, "<u2") ^ 1
    changed.PixelData = stored.astype("<u2").tobytes()
    return Film(of.number, of.sop_instance_uid, of.study_instance_uid, dicom_bytes(changed))


def resent(of: Film) -> bytes:
    """The same object as another sender writes it: other file meta information, other preamble."""
    read = dcmread(io.BytesIO(of.content))
    read.file_meta.ImplementationVersionName = "RESENT"
    read.file_meta.SourceApplicationEntityTitle = "ELSEWHERE"
    read.preamble = b"\x01" * 128
    return dicom_bytes(read)


def monochrome_twins(number: int, *, series: str = "", **elements: Any) -> tuple[Film, Film]:
    """The same picture as MONOCHROME2 and as MONOCHROME1, each an object of its own."""
    second = dataset(number, series=series, **elements)
    first = copy.deepcopy(second)
    stored = (1 << BITS) - 1 - np.frombuffer(second.PixelData, "<u2")
    first.PixelData = stored.astype("<u2").tobytes()
    first.PhotometricInterpretation, first.PresentationLUTShape = "MONOCHROME1", "INVERSE"
    first.SOPInstanceUID = first.file_meta.MediaStorageSOPInstanceUID = uid(series, "inverse", number)
    return (
        Film(number, second.SOPInstanceUID, second.StudyInstanceUID, dicom_bytes(second)),
        Film(number, first.SOPInstanceUID, first.StudyInstanceUID, dicom_bytes(first)),
    )


def refusals(*, series: str = "refused") -> dict[str, Film]:
    """Objects that are taken and must be answered by a refusal, by the code of the refusal they must get."""
    wanted: dict[str, tuple[int, dict[str, Any]]] = {
        "not_a_chest_radiograph": (0, {"BodyPartExamined": "HAND", "ViewPosition": None}),
        "lateral_view": (1, {"ViewPosition": "LL"}),
        "for_processing": (
            2,
            {
                "SOPClassUID": DigitalXRayImageStorageForProcessing,
                "PresentationIntentType": "FOR PROCESSING",
                "WindowCenter": None,
                "WindowWidth": None,
            },
        ),
        "modality": (4, {"SOPClassUID": CTImageStorage, "Modality": "CT", "SliceThickness": 1}),
        "too_small": (5, {"height": 40, "width": 40}),
    }
    found = {code: film(number, series=series, **elements) for code, (number, elements) in wanted.items()}
    report = structured_report(6, series=series)
    return found | {"no_pixels": report}


def structured_report(number: int, *, series: str = "") -> Film:
    """A small radiology report by somebody else: an SR without pixels."""
    made = dataset(number, series=series)
    for group in (0x0028, 0x7FE0):
        for element in list(made.group_dataset(group)):
            del made[element.tag]
    for keyword in ("PixelIntensityRelationship", "ImageType", "ImagerPixelSpacing", "PresentationIntentType"):
        if keyword in made:
            delattr(made, keyword)
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = ComprehensiveSRStorage
    made.Modality, made.ValueType, made.ContinuityOfContent = "SR", "CONTAINER", "SEPARATE"
    made.ContentDate, made.ContentTime = "20260101", "120000"
    made.CompletionFlag, made.VerificationFlag = "PARTIAL", "UNVERIFIED"
    made.ConceptNameCodeSequence = [_code("126000", "DCM", "Imaging Measurement Report")]
    made.ReferencedPerformedProcedureStepSequence, made.PerformedProcedureCodeSequence = [], []
    return Film(number, made.SOPInstanceUID, made.StudyInstanceUID, dicom_bytes(made))


def transfer_syntaxes(
    number: int, folder: Path, *, series: str = "syntax", height: int = 320, width: int = 288
) -> dict[str, tuple[Film, bool]]:
    """The same picture in every transfer syntax, each an object of its own, and whether its coding is lossless.

    Encoded by pydicom, by imagecodecs and by dcmtk; the key is the syntax's keyword and who encoded it.
    """
    plain = dataset(number, series=series, height=height, width=width)
    grey = np.frombuffer(plain.PixelData, "<u2").reshape(height, width)
    found: dict[str, tuple[Film, bool]] = {}

    def keep(syntax: UID, encoder: str, content: bytes, lossless: bool = True) -> None:
        read = dcmread(io.BytesIO(content), force=True)
        found[f"{syntax.keyword}/{encoder}"] = (
            Film(number, read.SOPInstanceUID, read.StudyInstanceUID, content),
            lossless,
        )

    def own(syntax: UID, encoder: str) -> Dataset:
        """The same data set as an object of its own."""
        again = dcmread(io.BytesIO(dicom_bytes(plain)))
        again.SOPInstanceUID = uid(series, number, syntax, encoder)
        again.file_meta.MediaStorageSOPInstanceUID = again.SOPInstanceUID
        return again

    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
        made = own(syntax, "pydicom")
        if syntax == ExplicitVRBigEndian:
            made.PixelData = grey.astype(">u2").tobytes()
        keep(syntax, "pydicom", _written(made, syntax))
    for syntax, (encode, lossless) in _encoders(plain).items():
        made = own(syntax, "imagecodecs")
        made.PixelData = encapsulate([encode(grey)])
        made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
        if not lossless:
            made.LossyImageCompression = "01"
        keep(syntax, "pydicom" if syntax == RLELossless else "imagecodecs", _written(made, syntax), lossless)
    for syntax, (command, lossless) in _DCMTK.items():
        source, target = folder / "plain.dcm", folder / "encoded.dcm"
        source.write_bytes(dicom_bytes(own(syntax, "dcmtk")))
        subprocess.run([*command, str(source), str(target)], check=True, capture_output=True, timeout=60)
        keep(syntax, "dcmtk", target.read_bytes(), lossless)
    return found


_DCMTK: Final[Mapping[UID, tuple[list[str], bool]]] = {
    JPEGLosslessSV1: (["dcmcjpeg", "+e1", "+un"], True),
    JPEGLossless: (["dcmcjpeg", "+el", "+sv", "4", "+un"], True),
    JPEGBaseline8Bit: (["dcmcjpeg", "+eb", "+q", "95", "+un"], False),
    JPEGExtended12Bit: (["dcmcjpeg", "+ee", "+q", "95", "+un"], False),
    JPEGLSLossless: (["dcmcjpls", "+el", "+un"], True),
    JPEGLSNearLossless: (["dcmcjpls", "+en", "+md", "2", "+un"], False),
    RLELossless: (["dcmcrle", "+un"], True),
}
"""dcmtk's encoders; ``+un`` keeps the UIDs."""


def _encoders(plain: Dataset) -> dict[UID, tuple[Callable[[NDArray[Any]], bytes], bool]]:
    """Encoders of 12-bit grey values, and whether they are lossless."""

    def rle(grey: NDArray[Any]) -> bytes:
        encoded: bytes = RLELosslessEncoder.encode(
            grey, rows=plain.Rows, columns=plain.Columns, samples_per_pixel=1, bits_allocated=16, bits_stored=BITS,
            pixel_representation=0, photometric_interpretation="MONOCHROME2", number_of_frames=1,
        )  # fmt: skip
        return encoded

    j2k: dict[str, Any] = {"codecformat": "J2K", "bitspersample": BITS}
    return {
        RLELossless: (rle, True),
        JPEGLSLossless: (lambda grey: bytes(imagecodecs.jpegls_encode(grey)), True),
        JPEGLSNearLossless: (lambda grey: bytes(imagecodecs.jpegls_encode(grey, level=2)), False),
        JPEG2000Lossless: (lambda grey: bytes(imagecodecs.jpeg2k_encode(grey, level=0, **j2k)), True),
        JPEG2000: (lambda grey: bytes(imagecodecs.jpeg2k_encode(grey, level=60, **j2k)), False),
        HTJ2KLossless: (lambda grey: bytes(imagecodecs.htj2k_encode(grey)), True),
        HTJ2K: (lambda grey: bytes(imagecodecs.htj2k_encode(grey, level=0.0005)), False),
        JPEGLosslessSV1: (
            lambda grey: bytes(imagecodecs.jpeg8_encode(grey, lossless=True, predictor=1, bitspersample=BITS)),
            True,
        ),
        JPEGExtended12Bit: (lambda grey: bytes(imagecodecs.jpeg8_encode(grey, level=97, bitspersample=BITS)), False),
    }


def _written(made: Dataset, syntax: UID) -> bytes:
    """A Part 10 file in a transfer syntax, of a data set whose pixels are already coded in it."""
    made.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcmwrite(
            buffer,
            made,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=syntax != ExplicitVRBigEndian,
            enforce_file_format=True,
        )
    return buffer.getvalue()
