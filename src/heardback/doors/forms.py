"""What a browser sends with a form (HTML standard, section 4.10.22): fields as text, and files as bytes.

Read here and not with email, which raises on what strangers may write: a parameter's number of 5,000 digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

LARGEST = 16_384
LARGEST_FILE = 16 * 1024 * 1024
FIELDS_AT_MOST = 1_000

BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]+)"|([^\s;"]+))', re.IGNORECASE)
DISPOSITION = re.compile(rb"^content-disposition:\s*form-data\b(.*)", re.IGNORECASE | re.MULTILINE)
NAME = re.compile(rb';\s*name="?([^";\r\n]*)', re.IGNORECASE)
FILE_NAME = re.compile(rb";\s*filename\*?=", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, in their order, and its files by their fields' names."""

    fields: Sequence[tuple[str, str]] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        """Give a field, without the white space around it; nothing where it is missing."""
        return self.exact(name).strip()

    def exact(self, name: str) -> str:
        """Give a field as it stands, for what nobody typed; nothing where it is missing."""
        return dict(self.fields).get(name, "")


async def read(request: Request, largest: int) -> Form | None:
    """Read a form of at most so many bytes; None where it has more. One that stops half-way is empty."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > largest:
                return None
    except ClientDisconnect:
        return Form()
    # In a thread: a large one takes seconds, and readers are not to wait for that.
    return await run_in_threadpool(form_of, bytes(body), request.headers.get("content-type", ""))


def form_of(body: bytes, content_type: str) -> Form:
    """Read a body as its type says; what is no form is an empty one."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded" and body.count(b"&") < FIELDS_AT_MOST:
        return Form(parse_qsl(body.decode("latin-1"), keep_blank_values=True))
    return parts_of(body, content_type) if kind == "multipart/form-data" else Form()


def parts_of(body: bytes, content_type: str) -> Form:
    """Read a form with files (RFC 7578)."""
    boundary = BOUNDARY.search(content_type)
    if boundary is None:
        return Form()
    fields: list[tuple[str, str]] = []
    files: dict[str, bytes] = {}
    for said, content in parted(body, (boundary[1] or boundary[2]).encode("latin-1", "replace")):
        found = NAME.search(said)
        name = found[1].decode("utf-8", "replace") if found else ""
        if FILE_NAME.search(said):
            files[name] = content
        else:
            fields.append((name, content.decode("utf-8", "replace")))
    return Form(fields, files)


def parted(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give what the head of each part says of it, and its content; what stands around the parts is passed over."""
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary, FIELDS_AT_MOST)[1:]:
        head, _, content = part.partition(b"\r\n\r\n")
        if said := DISPOSITION.search(head):
            yield said[1], content
