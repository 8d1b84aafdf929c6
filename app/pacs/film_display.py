"""How a film is shown, written into a presentation state, so that the film looks in it as it does by itself."""

import math
import re
from collections.abc import Sequence
from typing import Any, Final

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import format_number_as_ds

from app.domain.source_image import FilmLut, SourceImage

_FUNCTIONS: Final = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_WORD: Final = re.compile("[A-Z0-9_]{1,16}")


def is_grayscale(study: Dataset) -> bool:
    """Whether a film is one that a grayscale presentation state may refer to (PS3.4, N.2)."""
    samples = study.get("SamplesPerPixel")
    return samples in {None, "", 1} and _text(study, "PhotometricInterpretation") in {"MONOCHROME1", "MONOCHROME2"}


def show_as_film(state: Dataset, source: SourceImage, study: Dataset) -> None:
    """Write the film's own grayscale steps and the shape of its pixels into a presentation state.

    Of several windows or VOI LUTs the first counts, and a LUT before a window, as when the film is decoded. What is not
    valid is left out there, and here.

    Parameters
    ----------
    state
        With a Displayed Area Selection Sequence of one item; is changed.
    source, study
        The film, and its header as a data set.

    References
    ----------
    PS3.3, C.11.1 (modality LUT), C.11.8 (softcopy VOI LUT), C.11.6 (softcopy presentation LUT), C.10.4 (displayed
    area).
    """
    _modality(state, source.modality_lut, study)
    _voi(state, source.voi_lut, study)
    inverted = (
        _text(study, "PhotometricInterpretation") == "MONOCHROME1" or _text(study, "PresentationLUTShape") == "INVERSE"
    )
    state.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    _shape(state.DisplayedAreaSelectionSequence[0], study)


def _modality(state: Dataset, lut: FilmLut | None, study: Dataset) -> None:
    if lut is not None:
        item = _lut_item(lut)
        item.ModalityLUTType = "US"
        state.ModalityLUTSequence = [item]
        return
    slope, intercept = _numbers(study, "RescaleSlope"), _numbers(study, "RescaleIntercept")
    factor, offset = (slope or (1.0,))[0], (intercept or (0.0,))[0]
    if factor == 0 or not (slope or intercept):
        return
    kind = _text(study, "RescaleType")
    state.RescaleSlope, state.RescaleIntercept = format_number_as_ds(factor), format_number_as_ds(offset)
    state.RescaleType = kind if _WORD.fullmatch(kind) else "US"


def _voi(state: Dataset, lut: FilmLut | None, study: Dataset) -> None:
    item = Dataset()
    if lut is not None:
        item.VOILUTSequence = [_lut_item(lut)]
        state.SoftcopyVOILUTSequence = [item]
        return
    centres, widths = _numbers(study, "WindowCenter"), _numbers(study, "WindowWidth")
    function = _text(study, "VOILUTFunction") or "LINEAR"
    if not centres or not widths or function not in _FUNCTIONS:
        return
    if widths[0] >= 1 if function == "LINEAR" else widths[0] > 0:
        item.WindowCenter, item.WindowWidth = format_number_as_ds(centres[0]), format_number_as_ds(widths[0])
        item.VOILUTFunction = function
        state.SoftcopyVOILUTSequence = [item]


def _lut_item(lut: FilmLut) -> Dataset:
    """Write a table, its first input signed where that is negative (PS3.3, C.11.1.1.1)."""
    item = Dataset()
    count = len(lut.entries) // 2
    item.add_new(
        "LUTDescriptor", "SS" if lut.first_mapped < 0 else "US", [count % (1 << 16), lut.first_mapped, lut.bits]
    )
    item.add_new("LUTData", "OW", lut.entries)
    return item


def _shape(area: Dataset, study: Dataset) -> None:
    """Give the height and width of a pixel: as distances, else as their ratio; square where neither is known."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        spacing = _numbers(study, keyword)
        if len(spacing) == 2 and min(spacing) > 0:
            if spacing[0] != spacing[1]:
                area.PresentationPixelSpacing = [format_number_as_ds(each) for each in spacing]
                del area.PresentationPixelAspectRatio
            return
    ratio = _numbers(study, "PixelAspectRatio")
    if len(ratio) == 2 and min(ratio) >= 1 and all(each.is_integer() for each in ratio):
        area.PresentationPixelAspectRatio = [int(each) for each in ratio]


def _numbers(study: Dataset, keyword: str) -> tuple[float, ...]:
    """Give the finite values of an element; nothing where one of them is no number."""
    value: Any = study.get(keyword)  # Any: pydicom's value, one or several
    values: Sequence[Any] = value if isinstance(value, MultiValue) else [] if value in {None, ""} else [value]
    try:
        found = tuple(float(each) for each in values)
    except (TypeError, ValueError):
        return ()
    return found if all(map(math.isfinite, found)) else ()


def _text(study: Dataset, keyword: str) -> str:
    """Give the first value of a code string or text, in upper case."""
    value: Any = study.get(keyword)  # Any: pydicom's value, one or several
    first = (value[0] if value else "") if isinstance(value, MultiValue) else value
    return str(first or "").strip().upper()
