"""DICOM objects that say themselves that they are not a frontal chest film for presentation.

What is refused here, on the header alone, is what the pixels could not tell, or what the header states with authority:

* No pixel data (structured reports, encapsulated PDF, presentation states).
* More than one frame.
* For Processing: raw detector values, on which no network here was trained.
* The SOP class or modality of another device. Projection images of other devices (mammography, fluoroscopy,
  angiography, intra-oral, panoramic) look enough like films to be refused by modality alone. Sectional modalities
  (CT, MR, PT, NM, US) are refused where the object is theirs: by SOP class, or by a slice's own geometry. A *Secondary
  Capture* that merely says ``CT`` is let through with a flag, for its Modality is typed in or inherited by gateways
  (chest films with such headers are in the test data), and a slice or an ultrasound fan is told from a film by its
  pixels at the next gate.
* A lateral or oblique projection.
* A body part that is plainly another one, by the defined terms of PS3.16 annex L. Anything else, empty or free text, is
  for the pixels to decide: RIBCAGE, THORAX, LUNG, chest in any language.
"""

from app.codecs.dicom_elements import Element, first_item
from app.codecs.dicom_header import DicomHeader, Tag
from app.codecs.limits import DecodeLimits
from app.codecs.reading_flags import ReadingFlag
from app.domain.errors import ImageRefusedError, RefusalReason, TooLargeError

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_FOR_PROCESSING_CLASSES = frozenset(_STORAGE + suffix for suffix in ("1.1.1", "1.2.1", "1.3.1"))
# CR, DX (both), Secondary Capture (all), and digital intra-oral or mammography are told apart by modality below.
_FILM_CLASSES = frozenset(_STORAGE + suffix for suffix in ("1", "1.1", "1.1.1", "7", "7.1", "7.2", "7.3", "7.4"))
_SECONDARY_CAPTURE_CLASSES = frozenset(_STORAGE + suffix for suffix in ("7", "7.1", "7.2", "7.3", "7.4"))
_FILM_MODALITIES = frozenset({"CR", "DX", "RG", "OT", "SC", "DF", "DR"})
_SECTIONAL_MODALITIES = frozenset({"CT", "MR", "PT", "NM", "US", "ST"})
_LATERAL_VIEWS = frozenset({"LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT"})
_OBLIQUE_VIEWS = frozenset({"LLO", "RLO", "LAO", "RAO", "LPO", "RPO", "OBL", "OBLIQUE"})
_DECUBITUS_VIEWS = frozenset({"LLD", "RLD"})
# fmt: off
_OTHER_BODY_PARTS = frozenset({
    "ABDOMEN", "ABDOMENPELVIS", "ANKLE", "ARM", "BLADDER", "BREAST", "BUTTOCK", "CALCANEUS", "CALF", "CAROTID",
    "CEREBRUM", "CERVICALSPINE", "CERVIX", "CLAVICLE", "COCCYX", "COLON", "CSPINE", "CTSPINE", "EAR", "ELBOW",
    "EXTREMITIES", "EXTREMITY", "EYE", "FEMUR", "FINGER", "FOOT", "FOREARM", "GALLBLADDER", "HAND", "HEAD",
    "HEADNECK", "HIP", "HUMERUS", "JAW", "KIDNEY", "KNEE", "LEG", "LIVER", "LOWEREXTREMITY", "LOWER_EXM", "LSPINE",
    "LSSPINE", "LUMBAR", "LUMBARSPINE", "MAMMA", "MANDIBLE", "MAXILLA", "NECK", "ORBIT", "PANCREAS", "PATELLA",
    "PELVIS", "PENIS", "PROSTATE", "RADIUS", "RECTUM", "SACRUM", "SCALP", "SCAPULA", "SHOULDER", "SINUS", "SKULL",
    "SPINE", "SSPINE", "STOMACH", "TESTIS", "THIGH", "THUMB", "THYROID", "TIBIA", "TIBIAFIBULA", "TLSPINE", "TMJ",
    "TOE", "TOOTH", "TSPINE", "ULNA", "UPPEREXTREMITY", "UPPER_EXM", "UP_EXM", "UTERUS", "WHOLESPINE", "WRIST",
    "ZYGOMA",
})
# fmt: on


OVERRIDABLE = frozenset(
    {
        RefusalReason.FOR_PROCESSING,
        RefusalReason.LATERAL_VIEW,
        RefusalReason.MODALITY,
        RefusalReason.NOT_A_CHEST_RADIOGRAPH,
    }
)
"""Refusals that a caller may override: there is an image, it is only not one the networks were made for."""


def refuse_by_header(header: DicomHeader, limits: DecodeLimits, *, tolerate_refusals: bool = False) -> tuple[str, ...]:
    """Return flags of an acceptable object.

    Parameters
    ----------
    header
        What the object says of itself.
    limits
        Frames and nesting.
    tolerate_refusals
        Turn the `OVERRIDABLE` refusals into flags ``overridden:<reason>``.

    Raises
    ------
    ImageRefusedError
        If the header says it is not a single frontal chest film for presentation.
    TooLargeError
        If it announces more frames than the limits allow.
    """
    flags: tuple[str, ...] = ()
    for check in (
        _refuse_without_pixels,
        _refuse_other_devices,
        _refuse_frames,
        _refuse_for_processing,
        _refuse_other_views,
        _refuse_other_body_parts,
    ):
        try:
            flags += check(header, limits)
        except ImageRefusedError as refusal:
            if not tolerate_refusals or refusal.reason not in OVERRIDABLE:
                raise
            flags += (f"overridden:{refusal.reason}",)
    if header.code_string(Tag.BURNED_IN_ANNOTATION) == "YES":
        flags += (ReadingFlag.BURNED_IN_ANNOTATION,)
    return flags


def _refuse_for_processing(header: DicomHeader, _: DecodeLimits) -> tuple[str, ...]:
    if (
        header.code_string(Tag.PRESENTATION_INTENT_TYPE) == "FOR PROCESSING"
        or header.uid(Tag.SOP_CLASS_UID) in _FOR_PROCESSING_CLASSES
    ):
        detail = "(0008,0068) is FOR PROCESSING; FOR PRESENTATION expected"
        raise ImageRefusedError(RefusalReason.FOR_PROCESSING, detail)
    return ()


def _refuse_other_body_parts(header: DicomHeader, _: DecodeLimits) -> tuple[str, ...]:
    body_part = header.code_string(Tag.BODY_PART_EXAMINED)
    if body_part is not None and body_part.replace(" ", "") in _OTHER_BODY_PARTS:
        detail = f"(0018,0015) is {body_part}; a chest expected"
        raise ImageRefusedError(RefusalReason.NOT_A_CHEST_RADIOGRAPH, detail)
    return ()


def _refuse_without_pixels(header: DicomHeader, _: DecodeLimits) -> tuple[str, ...]:
    pixel_data: Element | None = header.elements.get(Tag.PIXEL_DATA)
    if pixel_data is None or not (pixel_data.fragments or len(pixel_data.value)):
        modality = header.code_string(Tag.MODALITY) or "missing"
        raise ImageRefusedError(RefusalReason.NO_PIXELS, f"no pixel data (7FE0,0010); modality is {modality}")
    return ()


def _refuse_other_devices(header: DicomHeader, _: DecodeLimits) -> tuple[str, ...]:
    sop_class, modality = header.uid(Tag.SOP_CLASS_UID), header.code_string(Tag.MODALITY)
    if sop_class is not None and sop_class.startswith(_STORAGE) and sop_class not in _FILM_CLASSES:
        detail = f"(0008,0016) is {sop_class}; CR, DX or Secondary Capture expected"
        if sop_class in _FOR_PROCESSING_CLASSES:
            raise ImageRefusedError(RefusalReason.FOR_PROCESSING, detail)
        raise ImageRefusedError(RefusalReason.MODALITY, detail)
    if modality is None or modality in _FILM_MODALITIES:
        return ()
    is_slice = header.has(Tag.IMAGE_ORIENTATION_PATIENT) or header.has(Tag.SLICE_THICKNESS)
    if modality in _SECTIONAL_MODALITIES and sop_class in _SECONDARY_CAPTURE_CLASSES and not is_slice:
        return (ReadingFlag.MODALITY_CONTRADICTS_OBJECT,)
    raise ImageRefusedError(RefusalReason.MODALITY, f"(0008,0060) is {modality}; CR or DX expected")


def _refuse_frames(header: DicomHeader, limits: DecodeLimits) -> tuple[str, ...]:
    stated = header.numbers(Tag.NUMBER_OF_FRAMES)
    frames = int(stated[0]) if stated else 1
    if frames > limits.max_frames:
        raise TooLargeError(f"(0028,0008) is {frames}, {limits.max_frames} frames allowed")
    if frames > 1:
        raise ImageRefusedError(RefusalReason.MULTI_FRAME, f"(0028,0008) is {frames}; one frame expected")
    return ()


def _refuse_other_views(header: DicomHeader, limits: DecodeLimits) -> tuple[str, ...]:
    view = header.code_string(Tag.VIEW_POSITION)
    if view in _LATERAL_VIEWS:
        raise ImageRefusedError(RefusalReason.LATERAL_VIEW, f"(0018,5101) is {view}; PA or AP expected")
    if view in _OBLIQUE_VIEWS:
        raise ImageRefusedError(
            RefusalReason.LATERAL_VIEW, f"(0018,5101) is {view}, an oblique view; PA or AP expected"
        )
    code = header.elements.get(Tag.VIEW_CODE_SEQUENCE)
    item = first_item(code, (Tag.CODE_MEANING,), limits) if code is not None else None
    meaning = (DicomHeader(item[0]).strings(Tag.CODE_MEANING) if item else ()) or ("",)
    words = meaning[0].lower().replace("-", " ").split()
    if view is None and words and "decubitus" not in words and ("lateral" in words or "oblique" in words):
        detail = "(0054,0220) is a lateral or oblique projection; a frontal one expected"
        raise ImageRefusedError(RefusalReason.LATERAL_VIEW, detail)
    return (ReadingFlag.DECUBITUS_VIEW,) if view in _DECUBITUS_VIEWS or "decubitus" in words else ()
