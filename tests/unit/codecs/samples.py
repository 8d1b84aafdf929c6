"""Synthetic films in every wrapping the codecs read. No patient, no network."""

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from app.codecs.decoder import FilmDecoder
from app.codecs.png_reader import png_chunk
from app.domain.radiograph import Radiograph

CR_STORAGE = "1.2.840.10008.5.1.4.1.1.1"
DX_STORAGE = "1.2.840.10008.5.1.4.1.1.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def film(height: int = 96, width: int = 120, bits: int = 8) -> NDArray[Any]:
    """Return a smooth, asymmetric picture that uses the whole range of its bits, without repeats of rows or columns."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = np.sin(rows / 9.0) + np.cos(columns / 7.0) + rows / height + 0.5 * columns / width
    unit = (waves - waves.min()) / max(waves.max() - waves.min(), 1e-9)
    levels: NDArray[Any] = np.rint(unit * ((1 << bits) - 1)).astype(np.uint8 if bits <= 8 else np.uint16)
    return levels


def decode(content: bytes | bytearray) -> Radiograph:
    """Decode with the default limits."""
    return FilmDecoder().decode(bytes(content))


def pillow_bytes(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return what Pillow saves."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def grey_png(pixels: NDArray[Any]) -> bytes:
    """Return a grey PNG of 8 or 16 bits."""
    return pillow_bytes(Image.fromarray(pixels))


def grey_jpeg(pixels: NDArray[Any], **options: Any) -> bytes:
    """Return a grey JPEG."""
    return pillow_bytes(Image.fromarray(pixels), "JPEG", quality=95, **options)


def png_of_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG of these chunks, whatever they are."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, payload) for kind, payload in chunks)


def ihdr(width: int, height: int, depth: int = 8, colour_type: int = 0, interlace: int = 0) -> tuple[bytes, bytes]:
    """Return an IHDR chunk."""
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlace)


def zeros_deflated(size_bytes: int) -> bytes:
    """Return that many zeros, deflated with a zlib header, without ever holding them."""
    deflater = zlib.compressobj(1)
    block = bytes(1 << 20)
    parts = [deflater.compress(block) for _ in range(size_bytes >> 20)]
    return b"".join([*parts, deflater.flush()])


def chest(pixels: NDArray[Any], bits_stored: int | None = None, **elements: Any) -> Dataset:
    """Return a chest film as a CR object; ``elements`` replace or, where None, remove what is set here."""
    allocated = 8 * pixels.dtype.itemsize
    stored = bits_stored or allocated
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    values: dict[str, Any] = {
        "SOPClassUID": CR_STORAGE,
        "SOPInstanceUID": "2.25.1234567890",
        "Modality": "CR",
        "PatientName": "Nobody^Synthetic",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "SamplesPerPixel": 1 if pixels.ndim == 2 else pixels.shape[2],
        "PhotometricInterpretation": "MONOCHROME2" if pixels.ndim == 2 else "RGB",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": allocated,
        "BitsStored": stored,
        "HighBit": stored - 1,
        "PixelRepresentation": 1 if pixels.dtype.kind == "i" else 0,
    }
    if pixels.ndim == 3:
        values["PlanarConfiguration"] = 0
    with warnings.catch_warnings():  # values are sometimes wrong on purpose
        warnings.simplefilter("ignore")
        for keyword, value in (values | elements).items():
            if value is not None:
                setattr(dataset, keyword, value)
    dataset.PixelData = pixels.tobytes() + (b"\x00" if pixels.nbytes % 2 else b"")
    dataset["PixelData"].VR = "OW" if allocated > 8 else "OB"
    return dataset


def file_bytes(dataset: Dataset, transfer_syntax: str = ExplicitVRLittleEndian) -> bytes:
    """Return the DICOM file pydicom writes."""
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CR_STORAGE)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "2.25.1")
    dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    buffer = io.BytesIO()
    with warnings.catch_warnings():  # what is written is sometimes wrong on purpose
        warnings.simplefilter("ignore")
        implicit, little = transfer_syntax == ImplicitVRLittleEndian, transfer_syntax != ExplicitVRBigEndian
        dataset.save_as(buffer, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    return buffer.getvalue()


def encapsulated(dataset: Dataset, codestream: bytes | bytearray, transfer_syntax: str) -> bytes:
    """Return the DICOM file with this codestream as its only frame."""
    dataset.PixelData = encapsulate([bytes(codestream)])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return file_bytes(dataset, transfer_syntax)


def dataset_bytes(content: bytes) -> bytes:
    """Return a DICOM file without preamble and file meta information."""
    length = int.from_bytes(content[140:144], "little")
    return content[144 + length :]
