import io
import struct
import warnings
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom._dicom_dict import DicomDictionary
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sr.codedict import codes
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from app.domain.errors import (
    InvalidRequestError,
    ScreeningError,
    TooLargeError,
    UnreadableImageError,
    UnsupportedFormatError,
)
from app.pacs import deidentify
from app.pacs.deidentification_table import IMAGE_CLASSES, KEPT, Rule
from app.pacs.deidentify import ExportOptions, deidentified
from tests.phantoms import chest_film, dicom_bytes, dicom_dataset

KEY = b"a key of sixteen bytes or more"
CANARY = "CANARYDOE"
NUMBER = "19610203"
TEXT_VRS = ("AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT", "UN", "OB")
LONG_VRS = ("OB", "OW", "SQ", "UC", "UN", "UR", "UT")
NEEDED = {
    0x00080016, 0x00280002, 0x00280004, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102, 0x00280103,
    0x00280301, 0x7FE00010,
}  # fmt: skip
"""Without these an object is no image; a canary in their place is refused, which is tested apart."""
ALL_OPTIONS = ExportOptions(modified_dates=True, patient_characteristics=True, pixels_inspected=True)


def element(tag: int, vr: str, value: bytes) -> bytes:
    """Explicit VR Little Endian, whatever the value."""
    value += b" " * (len(value) % 2)
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    return head + (struct.pack("<2xI", len(value)) if vr in LONG_VRS else struct.pack("<H", len(value))) + value


def sequence(tag: int, *items: bytes) -> bytes:
    return element(tag, "SQ", b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items))


def image(*more: tuple[int, bytes], burned_in: bytes = b"NO", sop_class: bytes = b"1.2.840.10008.5.1.4.1.1.1") -> bytes:
    """A small film whose other elements are given, as (tag, encoded element)."""
    pixels = np.arange(64, dtype="<u2").tobytes()
    own = {
        0x00080016: element(0x00080016, "UI", sop_class),
        0x00280002: element(0x00280002, "US", b"\x01\x00"),
        0x00280004: element(0x00280004, "CS", b"MONOCHROME2"),
        0x00280010: element(0x00280010, "US", b"\x08\x00"),
        0x00280011: element(0x00280011, "US", b"\x08\x00"),
        0x00280100: element(0x00280100, "US", b"\x10\x00"),
        0x00280101: element(0x00280101, "US", b"\x0c\x00"),
        0x00280102: element(0x00280102, "US", b"\x0b\x00"),
        0x00280103: element(0x00280103, "US", b"\x00\x00"),
        0x00280301: element(0x00280301, "CS", burned_in),
        0x7FE00010: element(0x7FE00010, "OW", pixels),
    }
    required = {tag: element(tag, "UI", f"1.2.{CANARY}.{tag}".encode()) for tag in (0x00080018, 0x0020000D, 0x0020000E)}
    body = b"".join(value for _, value in sorted((required | dict(more) | own).items()))
    meta = b"".join(
        [
            element(0x00020001, "OB", b"\x00\x01"),
            element(0x00020002, "UI", sop_class),
            element(0x00020003, "UI", f"1.2.{CANARY}".encode()),
            element(0x00020010, "UI", ExplicitVRLittleEndian.encode()),
            element(0x00020013, "SH", CANARY.encode()),
            element(0x00020016, "AE", CANARY.encode()),
            element(0x00020017, "AE", CANARY.encode()),
            element(0x00020018, "AE", CANARY.encode()),
            element(0x00020026, "UR", CANARY.encode()),
            element(0x00020100, "UI", b"1.2.3"),
            element(0x00020102, "OB", CANARY.encode()),
        ]
    )
    length = element(0x00020000, "UL", struct.pack("<I", len(meta)))
    return CANARY.encode().ljust(128, b"\0") + b"DICM" + length + meta + body


def export(content: bytes, options: ExportOptions = ALL_OPTIONS) -> bytes:
    """Export, with pydicom's own remarks about nonsense left aside, as in the service."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return deidentified(content, KEY, options)


def read(content: bytes) -> Dataset:
    return dcmread(io.BytesIO(content))


@cache
def textual() -> tuple[tuple[int, str], ...]:
    """Every attribute of the dictionary that can hold text."""
    found = [(tag, vr) for tag, (vr, *_) in DicomDictionary.items() if vr in TEXT_VRS and tag >> 16 > 2]
    return tuple((tag, vr) for tag, vr in found if tag not in NEEDED and tag < 0x7FE00000)


def planted(tag: int, vr: str, text: str) -> tuple[int, bytes]:
    values = {"DA": NUMBER, "AS": "061Y", "UI": f"1.2.840.{NUMBER}", "TM": "123456", "DT": f"{NUMBER}123456"}
    return tag, element(tag, vr, (values.get(vr, "") if text == "typed" else text).encode() or text.encode())


def names(content: bytes) -> Iterator[bytes]:
    for word in (CANARY, CANARY.lower(), CANARY.title()):
        for codec in ("latin-1", "utf-16-le", "utf-16-be"):
            if word.encode(codec) in content:
                yield word.encode(codec)


def test_no_name_survives_in_any_attribute_that_can_hold_text() -> None:
    everywhere = [planted(tag, vr, CANARY) for tag, vr in textual()]
    private = [
        (0x00090010, element(0x00090010, "LO", CANARY.encode())),
        (0x00091001, element(0x00091001, "UN", CANARY.encode())),
        (0x60003000, element(0x60003000, "OW", CANARY.encode())),
        (0x60004000, element(0x60004000, "LT", CANARY.encode())),
        (0x50003000, element(0x50003000, "OW", CANARY.encode())),
        (0xFFFCFFFC, element(0xFFFCFFFC, "OB", CANARY.encode())),
    ]
    content = image(*everywhere, *private)
    assert len(everywhere) > 1800
    assert content.count(CANARY.encode()) > len(everywhere)

    for options in (ALL_OPTIONS, ExportOptions()):
        assert list(names(export(content, options))) == []


def test_no_date_or_uid_survives_as_it_was() -> None:
    content = image(*(planted(tag, vr, "typed") for tag, vr in textual() if vr in ("DA", "UI", "DT", "AS", "TM")))
    assert content.count(NUMBER.encode()) > 200

    for options in (ALL_OPTIONS, ExportOptions()):
        assert NUMBER.encode() not in export(content, options)


SEQUENCES = tuple(tag for tag, (vr, *_) in DicomDictionary.items() if vr == "SQ" and tag >> 16 > 2)
KEPT_SEQUENCES = tuple(tag for tag, how in KEPT.items() if how.rule in (Rule.ITEMS, Rule.CODES))


@st.composite
def items(draw: st.DrawFn, depth: int) -> bytes:
    """An item with canaries, and sequences in it, those that are kept more often than others."""
    chosen = draw(st.lists(st.sampled_from(textual()), min_size=1, max_size=4, unique_by=lambda each: each[0]))
    words = st.sampled_from([CANARY, f"{CANARY}^X=ÄÖ", f"1.2\\{CANARY}", f"0\\{CANARY}", CANARY.lower()])
    found = {tag: element(tag, vr, draw(words).encode()) for tag, vr in chosen}
    codes_too = draw(st.booleans())
    if codes_too:
        found[0x00080100] = element(0x00080100, "SH", draw(st.sampled_from([b"399348003", CANARY.encode()])))
        found[0x00080102] = element(0x00080102, "SH", draw(st.sampled_from([b"SCT", b"99" + CANARY.encode()])))
        found[0x00080104] = element(0x00080104, "LO", CANARY.encode())
    if depth:
        tag = draw(st.one_of(st.sampled_from(KEPT_SEQUENCES), st.sampled_from(SEQUENCES)))
        found[tag] = sequence(tag, *draw(st.lists(items(depth - 1), max_size=2)))
    return b"".join(value for _, value in sorted(found.items()))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_no_name_survives_at_any_depth(data: st.DataObject) -> None:
    tags = data.draw(st.lists(st.sampled_from(KEPT_SEQUENCES + SEQUENCES[:40]), min_size=1, max_size=4, unique=True))
    content = image(*((tag, sequence(tag, data.draw(items(3)))) for tag in tags if tag not in NEEDED))

    exported = export(content)

    assert list(names(exported)) == []
    assert read(exported).PatientIdentityRemoved == "YES"


@settings(max_examples=100, deadline=None)
@given(tag=st.sampled_from(sorted(set(KEPT) - NEEDED)), vr=st.sampled_from([*TEXT_VRS, "DS", "IS", "US", "SQ"]))
def test_no_name_survives_under_a_wrong_vr(tag: int, vr: str) -> None:
    content = image((tag, element(tag, vr, CANARY.encode())))

    try:
        exported = export(content)
    except ScreeningError:
        return
    assert list(names(exported)) == []


@pytest.mark.parametrize("tag", sorted(NEEDED - {0x00280301, 0x7FE00010}))
def test_a_name_where_the_image_should_be_is_refused(tag: int) -> None:
    content = image()
    vr = DicomDictionary[tag][0]
    at = content.index(struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode()))
    (length,) = struct.unpack_from("<H", content, at + 6)
    broken = content[:at] + element(tag, "LO", CANARY.encode()) + content[at + 8 + length :]

    with pytest.raises(ScreeningError) as refused:
        export(broken)
    assert CANARY not in str(refused.value)


def film(**elements: object) -> bytes:
    return dicom_bytes(dicom_dataset(chest_film(40, 36, bits=12), bits=12, elements=elements))


def test_an_image_keeps_what_reading_it_needs_and_is_marked() -> None:
    source = film(
        PatientName="Doe^Jane", PatientID="4711", PatientBirthDate="19610203", PatientSex="F", PatientAge="093Y",
        StudyDate="20261124", StudyTime="101112.5", BodyPartExamined="CHEST", ViewPosition="PA", KVP="125",
        WindowCenter="2000", WindowWidth="3000", Manufacturer="Philips Medical Systems",
        ImageType=["ORIGINAL", "PRIMARY", "JANE"], PixelSpacing=["0.14", "0.14"], InstitutionName="St. Mary",
        AccessionNumber="A1", ReferringPhysicianName="House^G", PatientComments="Jane", BurnedInAnnotation="NO",
    )  # fmt: skip
    before, exported = read(source), read(deidentified(source, KEY))

    for same in ("Rows", "Columns", "KVP", "WindowCenter", "WindowWidth", "BodyPartExamined", "ViewPosition",
                 "PixelSpacing", "BitsStored", "PhotometricInterpretation", "SOPClassUID"):  # fmt: skip
        assert exported[same].value == before[same].value, same
    np.testing.assert_array_equal(exported.pixel_array, before.pixel_array)
    for empty in (
        "PatientBirthDate",
        "PatientSex",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "ReferringPhysicianName",
    ):
        assert exported[empty].value in ("", None), empty
    for gone in ("InstitutionName", "PatientComments", "PatientAge"):
        assert gone not in exported
    assert exported.PatientName == exported.PatientID
    assert str(exported.PatientName).startswith("P")
    assert exported.Manufacturer == "Philips"
    assert list(exported.ImageType) == ["ORIGINAL", "PRIMARY", ""]
    assert (exported.PatientIdentityRemoved, exported.LongitudinalTemporalInformationModified) == ("YES", "REMOVED")
    assert [item.CodeValue for item in exported.DeidentificationMethodCodeSequence] == ["113100"]
    assert "SourceApplicationEntityTitle" not in exported.file_meta
    assert exported.file_meta.MediaStorageSOPInstanceUID == exported.SOPInstanceUID


def test_options_keep_intervals_and_characteristics_and_are_declared() -> None:
    first = film(PatientID="1", StudyDate="20261101", StudyTime="101112", PatientSex="F", PatientAge="093Y")
    later = film(PatientID="1", StudyDate="20261124", StudyTime="10", PatientSex="X", PatientAge="045Y")
    options = ExportOptions(modified_dates=True, patient_characteristics=True)
    a, b = (read(deidentified(content, KEY, options)) for content in (first, later))

    days = [np.datetime64(f"{each.StudyDate[:4]}-{each.StudyDate[4:6]}-{each.StudyDate[6:]}") for each in (a, b)]
    assert days[1] - days[0] == 23
    assert str(days[0]) < "2026-11-01"
    assert (a.StudyTime, b.StudyTime) == ("101112", "10")
    assert (a.PatientSex, a.PatientAge, b.PatientSex, b.PatientAge) == ("F", "090Y", "", "045Y")
    assert [item.CodeValue for item in a.DeidentificationMethodCodeSequence] == ["113100", "113107", "113108"]
    assert a.LongitudinalTemporalInformationModified == "MODIFIED"


def test_films_that_belong_together_stay_together_and_only_the_key_knows_how() -> None:
    a = read(deidentified(film(PatientID="1", SOPInstanceUID="1.2.1", StudyInstanceUID="1.9"), KEY))
    b = read(deidentified(film(PatientID="1", SOPInstanceUID="1.2.2", StudyInstanceUID="1.9"), KEY))
    other = read(
        deidentified(film(PatientID="2", SOPInstanceUID="1.2.1", StudyInstanceUID="1.9"), b"another key of 16")
    )
    again = deidentified(film(PatientID="1", SOPInstanceUID="1.2.1", StudyInstanceUID="1.9"), KEY)

    assert (a.PatientID, a.StudyInstanceUID) == (b.PatientID, b.StudyInstanceUID)
    assert a.SOPInstanceUID != b.SOPInstanceUID
    assert {a.PatientID, a.SOPInstanceUID} & {other.PatientID, other.SOPInstanceUID} == set()
    assert again == deidentified(film(PatientID="1", SOPInstanceUID="1.2.1", StudyInstanceUID="1.9"), KEY)


SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@pytest.mark.parametrize(
    "elements",
    [
        {"BurnedInAnnotation": "YES"},
        {"SOPClassUID": SECONDARY_CAPTURE},
        {"SOPClassUID": SECONDARY_CAPTURE, "BurnedInAnnotation": "NO"},
    ],
)
def test_pixels_that_may_name_somebody_are_not_passed_off_as_clean(elements: dict[str, str]) -> None:
    content = film(**elements)
    with pytest.raises(InvalidRequestError, match="pixels"):
        deidentified(content, KEY)

    marked = read(deidentified(content, KEY, ExportOptions(even_if_pixels_may_identify=True)))
    inspected = read(deidentified(content, KEY, ExportOptions(pixels_inspected=True)))

    assert marked.PatientIdentityRemoved == "NO"
    assert "DeidentificationMethodCodeSequence" not in marked
    assert (inspected.PatientIdentityRemoved, inspected.BurnedInAnnotation) == ("YES", "NO")


def test_boxes_are_blanked_and_declared() -> None:
    content = film(BurnedInAnnotation="YES")
    exported = read(deidentified(content, KEY, ExportOptions(blank_boxes=((0, 0, 20, 10), (-5, 38, 99, 99)))))
    before, after = read(content).pixel_array.copy(), exported.pixel_array

    assert before[:10, :20].any()
    before[:10, :20] = 0
    before[38:, :] = 0
    np.testing.assert_array_equal(after, before)
    assert exported.PatientIdentityRemoved == "YES"
    assert [item.CodeValue for item in exported.DeidentificationMethodCodeSequence] == ["113100", "113101"]


def test_nothing_hides_in_unused_bits_or_behind_the_last_pixel() -> None:
    made = dicom_dataset(chest_film(40, 36, bits=12), bits=12)
    clean = np.frombuffer(made.PixelData, "<u2")
    letters = np.frombuffer((CANARY.encode() * 400)[: 2 * len(clean)].ljust(2 * len(clean)), "u1")[: len(clean)]
    made.PixelData = (clean | (letters.astype("<u2") << 12)).astype("<u2").tobytes() + CANARY.encode() + b" "

    exported = read(deidentified(dicom_bytes(made), KEY))

    assert exported.PixelData == clean.tobytes()


@pytest.mark.parametrize(
    "name",
    [
        "JPEG-lossy.dcm",
        "JPGExtended.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_jp2klossless.dcm",
        "JPEG2000.dcm",
        "SC_rgb_rle.dcm",
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "SC_rgb_32bit.dcm",
        "SC_rgb_small_odd_jpeg.dcm",
        "MR_small_padded.dcm",
    ],
)
def test_pixels_stay_as_they_were_in_other_transfer_syntaxes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = get_testdata_file(name)
    assert isinstance(path, str)
    monkeypatch.setattr(deidentify, "IMAGE_CLASSES", IMAGE_CLASSES | {dcmread(path).SOPClassUID})
    with open(path, "rb") as file:
        content = file.read()
    patient = str(dcmread(path).PatientName)

    exported = export(content, ExportOptions(pixels_inspected=True))

    assert not patient or patient.encode() not in exported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = dcmread(path).pixel_array
        except RuntimeError:
            pytest.skip("pydicom has no decoder for it here")
        np.testing.assert_array_equal(read(exported).pixel_array, expected)


def test_comments_in_a_compressed_frame_are_overwritten() -> None:
    path = get_testdata_file("SC_rgb_small_odd_jpeg.dcm")
    assert isinstance(path, str)
    made = dcmread(path)
    comment = b"\xff\xfe" + struct.pack(">H", 2 + len(CANARY)) + CANARY.encode()
    exif = b"\xff\xe1" + struct.pack(">H", 8 + len(CANARY)) + b"Exif\0\0" + CANARY.encode()
    (whole,) = generate_frames(made.PixelData, number_of_frames=1)
    made.PixelData = encapsulate([whole[:2] + comment + exif + whole[2:] + CANARY.encode()])
    made["PixelData"].is_undefined_length = True

    exported = deidentified(dicom_bytes(made), KEY, ExportOptions(pixels_inspected=True))

    assert list(names(exported)) == []
    np.testing.assert_array_equal(read(exported).pixel_array, dcmread(path).pixel_array)


def test_a_deflated_object_is_inflated_within_bounds() -> None:
    plain = film(PatientName="Doe")
    made = read(plain)
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    content = dicom_bytes(made)

    np.testing.assert_array_equal(read(deidentified(content, KEY)).pixel_array, read(plain).pixel_array)
    with pytest.raises(TooLargeError):
        deidentified(content, KEY, ExportOptions(max_bytes=len(content) + 10))


def nested_too_deep() -> bytes:
    deep = b""
    for _ in range(3000):
        deep = (
            struct.pack("<HH2s2xI", 0x0008, 0x1140, b"SQ", 0xFFFFFFFF)
            + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
            + deep
        )
    return image((0x00081140, deep))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", ScreeningError),
        (b"no DICOM at all" * 20, ScreeningError),
        (image()[:700], ScreeningError),
        (image(sop_class=b"1.2.840.10008.5.1.4.1.1.88.34"), UnsupportedFormatError),
        (nested_too_deep(), UnreadableImageError),
    ],
)
def test_what_cannot_be_exported_is_refused_in_words(content: bytes, error: type[ScreeningError]) -> None:
    with pytest.raises(error):
        export(content)


def test_bounds_are_held_before_pixels_are_touched() -> None:
    with pytest.raises(TooLargeError):
        deidentified(film(), KEY, ExportOptions(max_pixels=100))
    with pytest.raises(TooLargeError):
        deidentified(film(), KEY, ExportOptions(max_bytes=100))
    with pytest.raises(ValueError, match="key"):
        deidentified(film(), b"short")


def test_the_methods_are_the_dictionarys() -> None:
    known = {getattr(codes.DCM, name).value: getattr(codes.DCM, name).meaning for name in codes.DCM.dir()}

    assert {code: known[code] for code in deidentify._METHODS} == deidentify._METHODS


def test_codes_stay_with_the_dictionarys_meaning_and_others_go() -> None:
    def code(value: str, scheme: str, meaning: str, *nested: bytes) -> bytes:
        return b"".join(
            [
                element(0x00080100, "SH", value.encode()),
                element(0x00080102, "SH", scheme.encode()),
                element(0x00080104, "LO", meaning.encode()),
                *nested,
            ]
        )

    modifier = sequence(0x00540222, code("R-10206", "SNM3", CANARY), code("DOE", "99LOCAL", CANARY))
    content = image((0x00540220, sequence(0x00540220, code("272479007", "SCT", CANARY, modifier))))

    (view,) = read(export(content)).ViewCodeSequence

    assert (view.CodeValue, view.CodeMeaning) == ("272479007", codes.SCT.PosteroanteriorProjection.meaning)
    assert [item.CodeValue for item in view.ViewModifierCodeSequence] == ["399348003"]
