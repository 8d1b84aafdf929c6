"""``POST /dicomweb/studies``: STOW-RS (PS3.18, 10.5); what is acknowledged is durable."""

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated, Any, Final
from xml.etree import ElementTree as ET

import orjson
from fastapi import APIRouter, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from app.api.dependencies import ApiContext, ContextDep, Hospital, HospitalDep, caller
from app.api.multipart_related import DICOM, MULTIPART, is_multipart_related, related_parts
from app.api.problems import screening_problem
from app.api.responses import problems
from app.api.upload import counted, read_body
from app.domain.errors import (
    DeadlineExceededError,
    ImageRefusedError,
    IntakeRefusedError,
    ScreeningError,
    StorageFullError,
    StorageUnavailableError,
    TooLargeError,
    UnreadableImageError,
    UnsupportedFormatError,
)
from app.domain.jobs import ArrivalOutcome
from app.services.hospital.records import Arrival, Origin, Receipt, RefusedArrival

router = APIRouter(prefix="/dicomweb", tags=["dicomweb"])

MAX_PARTS: Final = 256
_JSON, _XML = "application/dicom+json", "application/dicom+xml"
_FAILED, _REFERENCED, _OTHER_FAILURES = "00081198", "00081199", "0008119A"
_CLASS, _INSTANCE, _FAILURE, _WARNING, _URL = "00081150", "00081155", "00081197", "00081196", "00081190"
_KEYWORDS: Final = MappingProxyType(
    {
        _FAILED: "FailedSOPSequence",
        _REFERENCED: "ReferencedSOPSequence",
        _OTHER_FAILURES: "OtherFailuresSequence",
        _CLASS: "ReferencedSOPClassUID",
        _INSTANCE: "ReferencedSOPInstanceUID",
        _FAILURE: "FailureReason",
        _WARNING: "WarningReason",
        _URL: "RetrieveURL",
    }
)
FAILURE_OF: Final[Mapping[type[ScreeningError], int]] = MappingProxyType(
    {
        StorageFullError: 0xA700,
        StorageUnavailableError: 0xA700,
        TooLargeError: 0xC000,
        UnreadableImageError: 0xC000,
        UnsupportedFormatError: 0xC122,
        IntakeRefusedError: 0xA900,
        ImageRefusedError: 0xA900,
    }
)
"""Failure Reason (0008,1197) of each refusal (PS3.18, table I.2-2); any other is 0x0110."""
_LATER: Final = (StorageFullError, StorageUnavailableError)
"""The whole request may be sent again."""
_CONFLICT: Final = 0xB007
"""Data set does not match: the UID came before with other content, and the first one stands."""
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            MULTIPART: {"schema": {"type": "string", "format": "binary"}},
            DICOM: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
_RESPONSES: Final = {
    200: {"content": {_JSON: {}, _XML: {}}, "description": "All are durable"},
    202: {"content": {_JSON: {}, _XML: {}}, "description": "Some are; the others are named"},
    409: {"content": {_JSON: {}, _XML: {}}, "description": "None is"},
    **problems(400, 413, 415, 422, 503, 504, 507),
}


@router.post(
    "/studies", summary="Store objects (STOW-RS)", response_class=Response, responses=_RESPONSES, openapi_extra=_BODY
)
async def store(request: Request, context: ContextDep, hospital: HospitalDep) -> Response:
    """Take DICOM objects; each that is named as stored is durable and will be answered."""
    return await _store(request, context, hospital, None)


@router.post(
    "/studies/{study_uid}",
    summary="Store objects of one study (STOW-RS)",
    response_class=Response,
    responses=_RESPONSES,
    openapi_extra=_BODY,
)
async def store_in_study(
    request: Request,
    study_uid: Annotated[str, Path(max_length=64, pattern=r"^[0-9.]+$")],
    context: ContextDep,
    hospital: HospitalDep,
) -> Response:
    """Take DICOM objects of this study and of no other."""
    return await _store(request, context, hospital, study_uid)


async def _store(request: Request, context: ApiContext, hospital: Hospital, study_uid: str | None) -> Response:
    content_type = request.headers.get("content-type", "")
    async with context.uploads.place_for(request, context.max_upload_bytes):
        try:
            async with asyncio.timeout(context.request_timeout_s):
                contents = await _contents(request, content_type, context.max_upload_bytes)
        except TimeoutError as error:
            raise DeadlineExceededError(f"the body did not arrive within {context.request_timeout_s:g} s") from error
        if not contents:
            return Response(status_code=HTTPStatus.NO_CONTENT)
        arrival = Arrival(Origin.STOW_RS, caller(request))
        receipts = await run_in_threadpool(hospital.receiver.receive_all, contents, arrival, study_uid)
    return _answer(request, receipts)


async def _contents(request: Request, content_type: str, max_bytes: int) -> list[bytes]:
    if is_multipart_related(content_type):
        return await related_parts(counted(request, max_bytes, max_bytes), content_type, max_bytes, MAX_PARTS)
    if content_type.partition(";")[0].strip().lower() == DICOM:
        return [await read_body(request, max_bytes)]
    raise UnsupportedFormatError(f"content type {content_type[:60] or 'missing'}; {MULTIPART} or {DICOM} expected")


def _answer(request: Request, receipts: Sequence[Receipt | RefusedArrival]) -> Response:
    stored: list[dict[str, Any]] = []  # Any: the DICOM JSON model
    failed: list[dict[str, Any]] = []
    nameless: list[dict[str, Any]] = []
    for receipt in receipts:
        if isinstance(receipt, Receipt):
            item: dict[str, Any] = {_INSTANCE: {"vr": "UI", "Value": [receipt.sop_instance_uid]}}
            if receipt.outcome is ArrivalOutcome.CONFLICT:
                item[_WARNING] = {"vr": "US", "Value": [_CONFLICT]}
            stored.append(item)
            continue
        reason = {_FAILURE: {"vr": "US", "Value": [FAILURE_OF.get(type(receipt.error), 0x0110)]}}
        if receipt.sop_instance_uid is None:
            nameless.append(reason)
        else:
            failed.append(
                {
                    _CLASS: {"vr": "UI", "Value": [receipt.sop_class_uid]},
                    _INSTANCE: {"vr": "UI", "Value": [receipt.sop_instance_uid]},
                    **reason,
                }
            )
    first = receipts[0]
    if not stored and isinstance(first, RefusedArrival) and isinstance(first.error, _LATER):
        return screening_problem(first.error)
    document: dict[str, Any] = {}
    if stored:
        document[_REFERENCED] = {"vr": "SQ", "Value": stored}
    if failed:
        document[_FAILED] = {"vr": "SQ", "Value": failed}
    if nameless:
        document[_OTHER_FAILURES] = {"vr": "SQ", "Value": nameless}
    all_stored = not (failed or nameless)
    status = HTTPStatus.OK if all_stored else HTTPStatus.ACCEPTED if stored else HTTPStatus.CONFLICT
    if _XML in request.headers.get("accept", "") and _JSON not in request.headers.get("accept", ""):
        return Response(_xml(document), status, media_type=_XML)
    return Response(orjson.dumps(document), status, media_type=_JSON)


def _xml(document: Mapping[str, Any]) -> bytes:
    """Write the native DICOM model (PS3.19, A.1)."""
    root = ET.Element("NativeDicomModel", {"xml:space": "preserve"})
    _fill(root, document)
    written: bytes = ET.tostring(root, "utf-8", xml_declaration=True)
    return written


def _fill(parent: ET.Element, dataset: Mapping[str, Any]) -> None:
    for tag, element in sorted(dataset.items()):
        attribute = ET.SubElement(
            parent, "DicomAttribute", {"tag": tag, "vr": element["vr"], "keyword": _KEYWORDS[tag]}
        )
        for number, value in enumerate(element["Value"], 1):
            if element["vr"] == "SQ":
                _fill(ET.SubElement(attribute, "Item", {"number": str(number)}), value)
            else:
                ET.SubElement(attribute, "Value", {"number": str(number)}).text = str(value)
