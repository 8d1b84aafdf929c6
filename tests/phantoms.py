"""Synthetic chest films with known ground truth: no patient, no file, the same film for the same arguments.

The anatomy is a cartoon drawn in fractions of the film, so any size and shape works: black air around a grey body, two
dark lungs with lighter ribs, a bright mediastinum with the heart to the viewer's right, and opacities where the test
wants them. Pixels are MONOCHROME2: 0 is black.
"""

import hashlib
import io
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from app.domain.radiograph import Provenance, Radiograph

Film: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]

_LUNGS = ((0.29, 0.48, 0.145, 0.33), (0.71, 0.48, 0.145, 0.33))
"""Centre x, centre y, half width, half height, in fractions of width and height; the patient's right lung first."""


@dataclass(frozen=True, slots=True)
class Opacity:
    """A soft round consolidation.

    Attributes
    ----------
    x, y
        Centre in fractions of the film's width and height.
    radius
        In fractions of the longer side.
    strength
        Grey value added at the centre, as a share of white.
    """

    x: float
    y: float
    radius: float = 0.07
    strength: float = 0.4


RIGHT_LOWER = Opacity(0.29, 0.66)
"""An opacity at the base of the patient's right lung: on the left half of the film."""


def _coordinates(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixel centres in fractions of the film, ``(H, 1)`` down and ``(1, W)`` across."""
    return (np.arange(height)[:, None] + 0.5) / height, (np.arange(width)[None, :] + 0.5) / width


def lung_mask(height: int, width: int) -> NDArray[np.bool_]:
    """Both lungs of `chest_film`, ``(H, W)``."""
    y, x = _coordinates(height, width)
    mask = np.zeros((height, width), np.bool_)
    for cx, cy, rx, ry in _LUNGS:
        mask |= ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1.0
    return mask


def opacity_mask(height: int, width: int, opacity: Opacity) -> NDArray[np.bool_]:
    """The pixels within an opacity's radius, ``(H, W)``."""
    return _distance(height, width, opacity) <= 1.0


def _distance(height: int, width: int, opacity: Opacity) -> NDArray[np.float64]:
    """Distance from an opacity's centre in radii; a circle on the film whatever its shape."""
    y, x = _coordinates(height, width)
    radius_px = opacity.radius * max(height, width)
    distance: NDArray[np.float64] = np.hypot((x - opacity.x) * width, (y - opacity.y) * height) / radius_px
    return distance


def chest_film(
    height: int = 320,
    width: int = 288,
    *,
    bits: int = 8,
    opacities: tuple[Opacity, ...] = (),
    noise: float = 0.01,
    seed: int = 0,
) -> Film:
    """Draw a frontal chest film.

    Parameters
    ----------
    height, width
        Pixels, at least 1.
    bits
        Bits stored, 1..16: up to 8 give uint8, more give uint16; white is ``2**bits - 1``.
    opacities
        What is wrong with the patient.
    noise
        Standard deviation of the grain, as a share of white.
    seed
        Of the grain and the patient's build.

    Returns
    -------
    ndarray
        ``(H, W)`` uint8 or uint16, MONOCHROME2.
    """
    rng = np.random.default_rng(seed)
    y, x = _coordinates(height, width)
    shift = rng.uniform(-0.01, 0.01)
    body = ((x - 0.5 - shift) / 0.47) ** 4 + ((y - 0.62) / 0.6) ** 6 <= 1.0
    film = np.where(body, 0.55, 0.02)
    film = np.where(lung_mask(height, width), 0.22, film)
    ribs = np.clip(np.sin(2.0 * np.pi * (11.0 * y + 3.0 * np.abs(x - 0.5)) + rng.uniform(0, 1)) - 0.4, 0.0, 1.0)
    film = film + np.where(body, 0.12 * ribs, 0.0)
    spine = np.exp(-(((x - 0.5 - shift) / 0.05) ** 2))
    heart = np.clip(1.2 - ((x - 0.56) / 0.13) ** 2 - ((y - 0.62) / 0.16) ** 2, 0.0, 1.0)
    film = film + np.where(body, 0.25 * np.maximum(spine, heart), 0.0)
    for opacity in opacities:
        film = film + opacity.strength * np.exp(-(_distance(height, width, opacity) ** 2))
    film = np.clip(film + rng.normal(0.0, noise, film.shape), 0.0, 1.0)
    return to_bits(film, bits)


def to_bits(film: NDArray[np.float64], bits: int) -> Film:
    """Quantise grey values in 0..1 to ``bits`` stored bits."""
    levels: NDArray[np.float64] = np.rint(film * (2**bits - 1))
    return levels.astype(np.uint8) if bits <= 8 else levels.astype(np.uint16)


def square_film(height: int, width: int, box: tuple[int, int, int, int], *, bits: int = 8) -> Film:
    """A black film with one white rectangle ``(x0, y0, x1, y1)``, x1 and y1 exclusive."""
    film = np.zeros((height, width))
    film[box[1] : box[3], box[0] : box[2]] = 1.0
    return to_bits(film, bits)


def radiograph(pixels: Film, **provenance: Any) -> Radiograph:  # Any: passed through to Provenance's own fields
    """A decoded film as the domain sees it; grey values must use the dtype's whole range (8 or 16 bits)."""
    return Radiograph(pixels, Provenance(**({"format": "png", "sha256": digest(pixels.tobytes())} | provenance)))


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


def png_bytes(pixels: NDArray[Any]) -> bytes:  # Any: grey of 8 or 16 bits, RGB, RGBA
    """Encode ``(H, W)`` uint8 or uint16, or ``(H, W, 3 or 4)`` uint8, as PNG."""
    return _raster(pixels, "PNG")


def jpeg_bytes(pixels: NDArray[np.uint8], quality: int = 95) -> bytes:
    """Encode ``(H, W)`` or ``(H, W, 3)`` uint8 as baseline JPEG."""
    return _raster(pixels, "JPEG", quality=quality)


def _raster(pixels: NDArray[Any], form: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def dicom_dataset(
    pixels: Film,
    *,
    bits: int | None = None,
    photometric: str = "MONOCHROME2",
    elements: dict[str, Any] | None = None,  # Any: whatever pydicom takes for the keyword
) -> Dataset:
    """A minimal digital X-ray object, Explicit VR Little Endian, that shows ``pixels``.

    Parameters
    ----------
    pixels
        ``(H, W)`` as they should look: for MONOCHROME1 the stored values are inverted here.
    bits
        Bits stored; the dtype's own unless given.
    photometric
        ``MONOCHROME2`` or ``MONOCHROME1``.
    elements
        Keyword to value, set last; None deletes the element.

    Returns
    -------
    Dataset
        With file meta information; its UIDs depend on the pixels only.
    """
    allocated = 8 * pixels.dtype.itemsize
    stored = bits or allocated
    values = pixels if photometric == "MONOCHROME2" else ((1 << stored) - 1 - pixels).astype(pixels.dtype)
    content = values.astype(values.dtype.newbyteorder("<")).tobytes()
    # 2.25. and a decimal number is a valid root for derived UIDs (PS3.5 B.2).
    uids = [UID(f"2.25.{int(digest(content + part)[:30], 16)}") for part in (b"instance", b"series", b"study")]

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = uids[0]
    meta.TransferSyntaxUID = ExplicitVRLittleEndian

    found = Dataset()
    found.file_meta = meta
    found.SpecificCharacterSet = "ISO_IR 192"
    found.SOPClassUID, found.SOPInstanceUID = DigitalXRayImageStorageForPresentation, uids[0]
    found.SeriesInstanceUID, found.StudyInstanceUID = uids[1], uids[2]
    found.PatientName, found.PatientID = "Phantom^Chest", "PHANTOM"
    found.PatientBirthDate, found.PatientSex = "", "O"
    found.StudyDate, found.StudyTime, found.StudyID, found.AccessionNumber = "20260101", "120000", "1", ""
    found.ReferringPhysicianName, found.Manufacturer = "", "Discern phantoms"
    found.Modality, found.PresentationIntentType, found.BodyPartExamined = "DX", "FOR PRESENTATION", "CHEST"
    found.ViewPosition, found.ImageLaterality, found.PatientOrientation = "PA", "U", ["L", "F"]
    found.ImageType = ["ORIGINAL", "PRIMARY"]
    found.SeriesNumber, found.InstanceNumber = 1, 1
    found.ImagerPixelSpacing = [0.15, 0.15]
    found.Rows, found.Columns = pixels.shape
    found.SamplesPerPixel, found.PhotometricInterpretation = 1, photometric
    found.BitsAllocated, found.BitsStored, found.HighBit, found.PixelRepresentation = allocated, stored, stored - 1, 0
    found.PixelIntensityRelationship, found.PixelIntensityRelationshipSign = "LOG", -1
    found.RescaleIntercept, found.RescaleSlope, found.RescaleType = 0, 1, "US"
    found.PresentationLUTShape = "IDENTITY" if photometric == "MONOCHROME2" else "INVERSE"
    found.LossyImageCompression, found.BurnedInAnnotation = "00", "NO"
    found.add_new("PixelData", "OB" if allocated == 8 else "OW", content + b"\0" * (len(content) % 2))
    for keyword, value in (elements or {}).items():
        if value is None:
            delattr(found, keyword)
        else:
            setattr(found, keyword, value)
    return found


def dicom_bytes(dataset: Dataset) -> bytes:
    """A Part 10 file of a dataset."""
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
