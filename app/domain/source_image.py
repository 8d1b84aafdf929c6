"""The DICOM object a film came in, as far as results repeat it: whose it is, and which study it belongs to."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FilmLut:
    """A lookup table of a film (PS3.3, C.11.1, C.11.2).

    Attributes
    ----------
    first_mapped
        The input that the first entry is for; -32768 to 65535.
    bits
        Of an entry, 1 to 16; as many as the entries need, whatever the film states.
    entries
        1 to 65536 of them, two bytes each, little endian.
    """

    first_mapped: int
    bits: int
    entries: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SourceImage:
    """Identity of one received image object.

    Attributes
    ----------
    sop_class_uid, sop_instance_uid, series_instance_uid, study_instance_uid
        (0008,0016), (0008,0018), (0020,000E), (0020,000D), checked to be UIDs (digits and dots, 1 to 64 characters).
    transfer_syntax_uid
        (0002,0010); None where the file has no meta information.
    modality
        (0008,0060), e.g. ``"DX"``; None where absent.
    rows, columns
        (0028,0010), (0028,0011); 0 where the object has no pixels.
    header
        A DICOM data set, Explicit VR Little Endian without preamble and file meta information, of the patient, study
        and acquisition elements that results repeat (`app.codecs.dicom_identity`), in the source's own character
        set. It names the patient: never logged, never shown. No sequence is in it, every length has two bytes.
    modality_lut, voi_lut
        The first item of Modality and VOI LUT Sequence (0028,3000), (0028,3010); None where there is none.
    """

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str | None = None
    modality: str | None = None
    rows: int = 0
    columns: int = 0
    header: bytes = field(default=b"", repr=False)
    modality_lut: FilmLut | None = None
    voi_lut: FilmLut | None = None
