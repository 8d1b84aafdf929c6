"""What of an image may leave the hospital, attribute by attribute (PS3.15 Table E.1-1, turned around).

The standard's table lists what must go. This one lists what may stay, and in which form; every other attribute, every
private one and every one that did not exist when this was written is removed. Nothing that stays is text as somebody
typed it: numbers are parsed and written again, words must be on a list, codes in a dictionary, UIDs are replaced.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType
from typing import Final


class Rule(Enum):
    """What becomes of an attribute."""

    NUMBERS = auto()
    """Binary numbers (US, SS): kept where there are as many as the dictionary says."""
    DECIMALS = auto()
    """Numbers as text (DS, IS): parsed, and written again."""
    TERMS = auto()
    """Words (CS): each kept if it is on the attribute's list, else emptied."""
    CLASS_UID = auto()
    """A UID that the standard registers: kept; any other is removed."""
    UID = auto()
    """U of the standard's table: replaced, the same for the same."""
    EMPTY = auto()
    """Z: emptied."""
    PSEUDONYM = auto()
    """D: replaced by a name made of the patient's pseudonym."""
    DATE = auto()
    """Emptied; shifted where modified dates are asked for."""
    TIME = auto()
    """Emptied; kept where modified dates are asked for."""
    CHARACTERISTIC = auto()
    """Emptied; kept where the patient's characteristics are asked for."""
    VENDOR = auto()
    """Replaced by the maker's common name where it is a known one, else emptied."""
    CODES = auto()
    """Items kept whose code is in the dictionary, with the dictionary's meaning."""
    ITEMS = auto()
    """Items kept, each by this table."""
    TABLE = auto()
    """A lookup table's values: kept where their number is what the descriptor says."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One attribute that stays, under a rule."""

    rule: Rule
    terms: frozenset[str] = field(default=frozenset())


def _terms(words: str) -> Kept:
    """Terms apart by commas."""
    return Kept(Rule.TERMS, frozenset(word.strip() for word in words.split(",")))


_FLAG: Final = _terms("YES,NO")
_SIDES: Final = _terms("L,R,U,B")
# Defined terms of PS3.3 C.8.11, and body parts of PS3.16 Annex L that a radiograph can have.
_BODY_PARTS: Final = _terms(
    "CHEST,THORAX,LUNG,RIB,STERNUM,CLAVICLE,SHOULDER,SCAPULA,SPINE,CSPINE,TSPINE,LSPINE,TLSPINE,ABDOMEN,CHESTABDOMEN,"
    "PELVIS,HIP,SKULL,HEAD,NECK,HEART,ARM,ELBOW,FOREARM,WRIST,HAND,FINGER,LEG,KNEE,ANKLE,FOOT,TOE,EXTREMITY,BREAST,"
    "WHOLEBODY,HUMERUS,FEMUR,JAW,SSPINE,COCCYX,SACRUM"
)

KEPT: Final[Mapping[int, Kept]] = MappingProxyType(
    {
        0x00080008: _terms("ORIGINAL,DERIVED,PRIMARY,SECONDARY,PROCESSED,RAW,OTHER,POST_PROCESSED,"),  # Image Type
        0x00080016: Kept(Rule.CLASS_UID),  # SOP Class UID
        0x00080018: Kept(Rule.UID),  # SOP Instance UID
        0x00080020: Kept(Rule.DATE),  # Study Date
        0x00080021: Kept(Rule.DATE),  # Series Date
        0x00080022: Kept(Rule.DATE),  # Acquisition Date
        0x00080023: Kept(Rule.DATE),  # Content Date
        0x00080030: Kept(Rule.TIME),  # Study Time
        0x00080031: Kept(Rule.TIME),  # Series Time
        0x00080032: Kept(Rule.TIME),  # Acquisition Time
        0x00080033: Kept(Rule.TIME),  # Content Time
        0x00080050: Kept(Rule.EMPTY),  # Accession Number
        0x00080060: _terms("CR,DX,RG,XR,OT,SC,MG,RF,XA"),  # Modality
        0x00080064: _terms("DV,DI,DF,WSD,SD,SI,DRW,SYN"),  # Conversion Type
        0x00080068: _terms("FOR PRESENTATION,FOR PROCESSING"),  # Presentation Intent Type
        0x00080070: Kept(Rule.VENDOR),  # Manufacturer
        0x00080090: Kept(Rule.EMPTY),  # Referring Physician's Name
        0x00081140: Kept(Rule.ITEMS),  # Referenced Image Sequence
        0x00081150: Kept(Rule.CLASS_UID),  # Referenced SOP Class UID
        0x00081155: Kept(Rule.UID),  # Referenced SOP Instance UID
        0x00082112: Kept(Rule.ITEMS),  # Source Image Sequence
        0x00082218: Kept(Rule.CODES),  # Anatomic Region Sequence
        0x00082220: Kept(Rule.CODES),  # Anatomic Region Modifier Sequence
        0x00089215: Kept(Rule.CODES),  # Derivation Code Sequence
        0x00100010: Kept(Rule.PSEUDONYM),  # Patient's Name
        0x00100020: Kept(Rule.PSEUDONYM),  # Patient ID
        0x00100030: Kept(Rule.EMPTY),  # Patient's Birth Date
        0x00100040: Kept(Rule.CHARACTERISTIC, frozenset({"M", "F", "O"})),  # Patient's Sex
        0x00101010: Kept(Rule.CHARACTERISTIC),  # Patient's Age
        0x00180015: _BODY_PARTS,  # Body Part Examined
        0x00180060: Kept(Rule.DECIMALS),  # KVP
        0x00181110: Kept(Rule.DECIMALS),  # Distance Source to Detector
        0x00181111: Kept(Rule.DECIMALS),  # Distance Source to Patient
        0x00181114: Kept(Rule.DECIMALS),  # Estimated Radiographic Magnification Factor
        0x00181147: _terms("ROUND,RECTANGLE,HEXAGONAL"),  # Field of View Shape
        0x00181149: Kept(Rule.DECIMALS),  # Field of View Dimension(s)
        0x00181150: Kept(Rule.DECIMALS),  # Exposure Time
        0x00181151: Kept(Rule.DECIMALS),  # X-Ray Tube Current
        0x00181152: Kept(Rule.DECIMALS),  # Exposure
        0x00181153: Kept(Rule.DECIMALS),  # Exposure in uAs
        0x00181155: _terms("SC,GR"),  # Radiation Setting
        0x00181164: Kept(Rule.DECIMALS),  # Imager Pixel Spacing
        0x00181166: _terms("IN,OUT,NONE,FIXED,FOCUSED,RECIPROCATING,PARALLEL,CROSSED"),  # Grid
        0x00181190: Kept(Rule.DECIMALS),  # Focal Spot(s)
        0x001811A0: Kept(Rule.DECIMALS),  # Body Part Thickness
        0x00181405: Kept(Rule.DECIMALS),  # Relative X-Ray Exposure
        0x00181411: Kept(Rule.DECIMALS),  # Exposure Index
        0x00181412: Kept(Rule.DECIMALS),  # Target Exposure Index
        0x00181413: Kept(Rule.DECIMALS),  # Deviation Index
        0x00181508: _terms("CARM,COLUMN,MAMMOGRAPHIC,PANORAMIC,CEPHALOSTAT,RIGID,NONE"),  # Positioner Type
        0x00182010: Kept(Rule.DECIMALS),  # Nominal Scanned Pixel Spacing
        0x00185100: _terms("HFP,HFS,HFDR,HFDL,FFDR,FFDL,FFP,FFS"),  # Patient Position
        0x00185101: _terms("AP,PA,LL,RL,RLD,LLD,RLO,LLO"),  # View Position
        0x00186000: Kept(Rule.DECIMALS),  # Sensitivity
        0x00187001: Kept(Rule.DECIMALS),  # Detector Temperature
        0x00187004: _terms("DIRECT,SCINTILLATOR,STORAGE,FILM"),  # Detector Type
        0x00187005: _terms("AREA,SLOT"),  # Detector Configuration
        0x0018701A: Kept(Rule.DECIMALS),  # Detector Binning
        0x00187020: Kept(Rule.DECIMALS),  # Detector Element Physical Size
        0x00187022: Kept(Rule.DECIMALS),  # Detector Element Spacing
        0x00187030: Kept(Rule.DECIMALS),  # Field of View Origin
        0x00187032: Kept(Rule.DECIMALS),  # Field of View Rotation
        0x00187034: _FLAG,  # Field of View Horizontal Flip
        0x0020000D: Kept(Rule.UID),  # Study Instance UID
        0x0020000E: Kept(Rule.UID),  # Series Instance UID
        0x00200010: Kept(Rule.EMPTY),  # Study ID
        0x00200011: Kept(Rule.DECIMALS),  # Series Number
        0x00200012: Kept(Rule.DECIMALS),  # Acquisition Number
        0x00200013: Kept(Rule.DECIMALS),  # Instance Number
        0x00200020: _terms("A,P,L,R,H,F,AL,AR,AH,AF,PL,PR,PH,PF,LA,LP,LH,LF,RA,RP,RH,RF,HA,HP,HL,HR,FA,FP,FL,FR,"),
        0x00200052: Kept(Rule.UID),  # Frame of Reference UID
        0x00200060: _SIDES,  # Laterality
        0x00200062: _SIDES,  # Image Laterality
        0x00201002: Kept(Rule.DECIMALS),  # Images in Acquisition
        0x00280002: Kept(Rule.NUMBERS),  # Samples per Pixel
        0x00280004: _terms(
            "MONOCHROME1,MONOCHROME2,PALETTE COLOR,RGB,YBR_FULL,YBR_FULL_422,YBR_ICT,YBR_RCT"
        ),  # Photometric Interpretation
        0x00280006: Kept(Rule.NUMBERS),  # Planar Configuration
        0x00280008: Kept(Rule.DECIMALS),  # Number of Frames
        0x00280010: Kept(Rule.NUMBERS),  # Rows
        0x00280011: Kept(Rule.NUMBERS),  # Columns
        0x00280030: Kept(Rule.DECIMALS),  # Pixel Spacing
        0x00280034: Kept(Rule.DECIMALS),  # Pixel Aspect Ratio
        0x00280100: Kept(Rule.NUMBERS),  # Bits Allocated
        0x00280101: Kept(Rule.NUMBERS),  # Bits Stored
        0x00280102: Kept(Rule.NUMBERS),  # High Bit
        0x00280103: Kept(Rule.NUMBERS),  # Pixel Representation
        0x00280106: Kept(Rule.NUMBERS),  # Smallest Image Pixel Value
        0x00280107: Kept(Rule.NUMBERS),  # Largest Image Pixel Value
        0x00280120: Kept(Rule.NUMBERS),  # Pixel Padding Value
        0x00280121: Kept(Rule.NUMBERS),  # Pixel Padding Range Limit
        0x00280300: _FLAG,  # Quality Control Image
        0x00280301: _FLAG,  # Burned In Annotation
        0x00280302: _FLAG,  # Recognizable Visual Features
        0x00280A02: _terms("GEOMETRY,FIDUCIAL"),  # Pixel Spacing Calibration Type
        0x00281040: _terms("LIN,LOG,DISP"),  # Pixel Intensity Relationship
        0x00281041: Kept(Rule.NUMBERS),  # Pixel Intensity Relationship Sign
        0x00281050: Kept(Rule.DECIMALS),  # Window Center
        0x00281051: Kept(Rule.DECIMALS),  # Window Width
        0x00281052: Kept(Rule.DECIMALS),  # Rescale Intercept
        0x00281053: Kept(Rule.DECIMALS),  # Rescale Slope
        0x00281054: _terms("US,OD,HU,OTHER"),  # Rescale Type
        0x00281056: _terms("LINEAR,LINEAR_EXACT,SIGMOID"),  # VOI LUT Function
        0x00281101: Kept(Rule.NUMBERS),  # Red Palette Color Lookup Table Descriptor
        0x00281102: Kept(Rule.NUMBERS),  # Green
        0x00281103: Kept(Rule.NUMBERS),  # Blue
        0x00281201: Kept(Rule.TABLE),  # Red Palette Color Lookup Table Data
        0x00281202: Kept(Rule.TABLE),  # Green
        0x00281203: Kept(Rule.TABLE),  # Blue
        0x00282110: _terms("00,01"),  # Lossy Image Compression
        0x00282112: Kept(Rule.DECIMALS),  # Lossy Image Compression Ratio
        0x00282114: _terms("ISO_10918_1,ISO_14495_1,ISO_15444_1,ISO_13818_2,ISO_14496_10"),  # Lossy … Method
        0x00283000: Kept(Rule.ITEMS),  # Modality LUT Sequence
        0x00283002: Kept(Rule.NUMBERS),  # LUT Descriptor
        0x00283004: _terms("US,OD,HU"),  # Modality LUT Type
        0x00283006: Kept(Rule.TABLE),  # LUT Data
        0x00283010: Kept(Rule.ITEMS),  # VOI LUT Sequence
        0x00400555: Kept(Rule.EMPTY),  # Acquisition Context Sequence
        0x00540220: Kept(Rule.CODES),  # View Code Sequence
        0x00540222: Kept(Rule.CODES),  # View Modifier Code Sequence
        0x00540410: Kept(Rule.CODES),  # Patient Orientation Code Sequence
        0x00540414: Kept(Rule.CODES),  # Patient Gantry Relationship Code Sequence
        0x20500020: _terms("IDENTITY,INVERSE"),  # Presentation LUT Shape
    }
)
"""Attributes that stay, at any depth, in this form. Pixel Data is kept apart (`app.pacs.clean_pixels`)."""

DESCRIPTOR_OF: Final[Mapping[int, int]] = MappingProxyType(
    {0x00281201: 0x00281101, 0x00281202: 0x00281102, 0x00281203: 0x00281103, 0x00283006: 0x00283002}
)
"""A lookup table's data to its descriptor."""

NESTED_IN_CODES: Final = frozenset({0x00082220, 0x00540222})
"""Code sequences within an item of a code sequence: anatomic region and view modifiers."""

VENDORS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "siemens": "SIEMENS",
        "philips": "Philips",
        "ge ": "GE",
        "general electric": "GE",
        "fuji": "FUJIFILM",
        "carestream": "Carestream",
        "kodak": "Kodak",
        "agfa": "Agfa",
        "canon": "Canon",
        "toshiba": "Toshiba",
        "konica": "Konica Minolta",
        "shimadzu": "Shimadzu",
        "samsung": "Samsung",
        "hologic": "Hologic",
        "discern": "Discern",
    }
)
"""How a maker's name begins, in lower case, and what is written for it."""

IMAGE_CLASSES: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
        "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, For Presentation
        "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray, For Processing
        "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
        "1.2.840.10008.5.1.4.1.1.7.1",  # Multi-frame Single Bit Secondary Capture
        "1.2.840.10008.5.1.4.1.1.7.2",  # Multi-frame Grayscale Byte Secondary Capture
        "1.2.840.10008.5.1.4.1.1.7.3",  # Multi-frame Grayscale Word Secondary Capture
        "1.2.840.10008.5.1.4.1.1.7.4",  # Multi-frame True Color Secondary Capture
    }
)
"""What can be exported: projection radiographs and captures. Reports are text, and would be empty."""
CAPTURE_CLASSES: Final = frozenset(uid for uid in IMAGE_CLASSES if uid.startswith("1.2.840.10008.5.1.4.1.1.7"))
