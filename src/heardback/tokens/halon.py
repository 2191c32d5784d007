"""Halon's own tokens, read so that its users can point their existing links at us. None are made here.

Unpadded base64url of one byte of secret id, the HMAC-SHA-256 of the JSON and its raw DEFLATE. They carry no kind but
for the `url` that a click alone has: an open's and an unsubscribe's are byte-identical.
"""

from __future__ import annotations

import hmac
import zlib
from collections.abc import Mapping
from typing import Any

import msgspec
from itsdangerous.encoding import base64_decode
from itsdangerous.exc import BadData

from heardback.errors import BadToken
from heardback.tokens import LONGEST, Kind, Token

LARGEST = 16_384
"""Bytes of the longest JSON that is inflated: it has to be, before its HMAC can be checked."""

MAC = 32


def read(kind: Kind, text: str, secrets: Mapping[int, str]) -> Token:
    """Say what a Halon token says, if one of the secrets signed it. Raises BadToken, nothing else, on any text."""
    if len(text) > LONGEST or not text.isascii():
        raise BadToken
    try:
        return _token(kind, _signed(base64_decode(text), secrets))
    except (BadData, KeyError, IndexError, ValueError, TypeError, zlib.error, msgspec.MsgspecError) as error:
        raise BadToken from error


def _signed(raw: bytes, secrets: Mapping[int, str]) -> bytes:
    secret, mac = secrets[raw[0]], raw[1 : 1 + MAC]
    inflate = zlib.decompressobj(-15)
    text = inflate.decompress(raw[1 + MAC :], LARGEST)
    if not inflate.eof or not hmac.compare_digest(hmac.digest(secret.encode(), text, "sha256"), mac):
        raise BadToken
    return text


def _token(kind: Kind, text: bytes) -> Token:
    said = msgspec.json.decode(text, type=dict[str, Any])
    recipient, message_id, url, additional = said["r"], said["m"], said.get("u", ""), said.get("a", {})
    if not (isinstance(recipient, str) and isinstance(message_id, str) and isinstance(url, str)):
        raise BadToken
    if (kind == "click") != bool(url):
        raise BadToken
    return Token(kind, recipient, message_id, url, additional=additional if isinstance(additional, dict) else {})
