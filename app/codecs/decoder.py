"""One upload to one radiograph: sniff, bound, decode."""

import hashlib
from dataclasses import replace

from app.codecs.dicom_file import read_dicom
from app.codecs.limits import DecodeLimits
from app.codecs.raster import read_jpeg, read_png
from app.codecs.sniffing import ImageFormat, sniff
from app.domain.errors import ScreeningError, TooLargeError, UnreadableImageError
from app.domain.radiograph import Provenance, Radiograph

_DETAIL_CHARACTERS = 200


class FilmDecoder:
    """Decoder of PNG, JPEG and DICOM films; stateless, so any number of threads may share one."""

    def __init__(self, limits: DecodeLimits = DecodeLimits()) -> None:  # noqa: B008  # frozen
        self._limits = limits

    def decode(self, content: bytes, *, tolerate_refusals: bool = False) -> Radiograph:
        """Return the display-ready film in the bytes of a file.

        Parameters
        ----------
        content
            The file as received.
        tolerate_refusals
            Read also what a header says is not a frontal chest film for presentation, and flag it.

        Raises
        ------
        UnsupportedFormatError
            If the content is not PNG, JPEG or DICOM, or a variety of them that is not read here.
        UnreadableImageError
            If it is malformed or truncated.
        TooLargeError
            If it exceeds the limits, or memory.
        ImageRefusedError
            If it is readable but says itself that it is not a frontal chest radiograph for presentation, or is too
            small.

        Notes
        -----
        This is the one place where failures of third-party decoders (``imagecodecs``, ``simplejpeg``, ``isal``) are
        translated. They document no closed set of exceptions for malformed input, so every ``Exception`` counts; it
        stays attached as the cause, and the tests hold that on mutated files it never stems from our own modules.
        """
        self._limits.check_content(len(content))
        found = sniff(content)
        try:
            return self._read(content, found, tolerate_refusals=tolerate_refusals)
        except ScreeningError:
            raise
        except (MemoryError, RecursionError) as error:
            raise TooLargeError(f"decoding this {found.value} needs more memory than there is") from error
        except Exception as error:
            detail = f"{found.value} does not decode: {type(error).__name__}: {error}"
            raise UnreadableImageError(detail[:_DETAIL_CHARACTERS]) from error

    def _read(self, content: bytes, found: ImageFormat, *, tolerate_refusals: bool) -> Radiograph:
        provenance = Provenance(format=found.value, sha256=hashlib.sha256(content).hexdigest())
        if found is ImageFormat.DICOM:
            film = read_dicom(content, self._limits, tolerate_refusals=tolerate_refusals)
            provenance = replace(
                provenance,
                view_position=film.view_position,
                photometric_interpretation=film.photometric_interpretation,
                pixel_spacing_mm=film.pixel_spacing_mm,
                sop_instance_uid=film.sop_instance_uid,
            )
            return Radiograph(film.pixels, provenance, film.flags)
        read = read_png if found is ImageFormat.PNG else read_jpeg
        pixels, flags = read(content, self._limits)
        return Radiograph(pixels, provenance, flags)
