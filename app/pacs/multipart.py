"""``multipart/related`` as DICOMweb uses it (PS3.18, 8.6.1.2): written for STOW-RS, read of WADO-RS, within bounds."""

import re
import secrets
from collections.abc import Iterator, Sequence
from typing import Final

from app.domain.errors import UnreadableImageError

_BOUNDARY: Final = re.compile(r'boundary="?([^";,]+)"?', re.IGNORECASE)
_MOST_HEADER_BYTES: Final = 16_384


def written(contents: Sequence[bytes], part_type: str) -> tuple[bytes, str]:
    """Put parts together.

    Returns
    -------
    bytes, str
        Body and content type; the boundary is in none of the parts.
    """
    while True:
        boundary = secrets.token_hex(24).encode()
        if not any(boundary in content for content in contents):
            break
    parts = [
        b"--" + boundary + b"\r\nContent-Type: " + part_type.encode() + b"\r\n\r\n" + content + b"\r\n"
        for content in contents
    ]
    body = b"".join(parts) + b"--" + boundary + b"--\r\n"
    return body, f'multipart/related; type="{part_type}"; boundary={boundary.decode()}'


def parts_of(body: bytes, content_type: str) -> Iterator[bytes]:
    """Give the contents of the parts of a body.

    Raises
    ------
    UnreadableImageError
        If it has no boundary, or ends before its last part does.
    """
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise UnreadableImageError("a multipart answer names no boundary")
    marker = b"--" + found[1].encode()
    at = body.find(marker)
    while at >= 0:
        at += len(marker)
        if body[at : at + 2] == b"--":
            return
        header_end = body.find(b"\r\n\r\n", at, at + _MOST_HEADER_BYTES)
        end = body.find(b"\r\n" + marker, header_end if header_end >= 0 else at)
        if header_end < 0 or end < 0:
            break
        yield body[header_end + 4 : max(header_end + 4, end)]
        at = end + 2
    raise UnreadableImageError("a multipart answer ends in the middle")
