"""Objects to send without a network having looked at a film: drawn films, taken for results."""

import io

from pydicom import dcmread

from app.domain.result_identity import ResultKind
from app.services.hospital.records import ResultObject
from tests.integration.pacs.films import Film


def as_result(film: Film) -> ResultObject:
    """Take a film for a result."""
    read = dcmread(io.BytesIO(film.content), stop_before_pixels=True)
    return ResultObject(
        ResultKind.SECONDARY_CAPTURE,
        str(read.SOPClassUID),
        film.sop_instance_uid,
        str(read.SeriesInstanceUID),
        film.study_instance_uid,
        film.content,
    )
