"""What a browser sends with a form: fields as text, and files as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

LARGEST = 16_384
LARGEST_FILE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, each once, and its files by their fields' names."""

    fields: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        """Give a field, without the white space around it; nothing where it is missing."""
        return self.fields.get(name, "").strip()


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
    """Read a body as its type says."""
    if content_type.partition(";")[0].strip().lower() == "multipart/form-data":
        return parts_of(body, content_type)
    return Form(dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True)))


def parts_of(body: bytes, content_type: str) -> Form:
    """Read a form with files (RFC 7578)."""
    whole = message_from_bytes(b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n" + body)
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for part in whole.walk():
        content = None if part.is_multipart() else part.get_payload(decode=True)
        if not isinstance(content, bytes):
            continue
        name = str(part.get_param("name", "", "content-disposition"))
        if part.get_filename() is None:
            fields[name] = content.decode("utf-8", "replace")
        else:
            files[name] = content
    return Form(fields, files)
