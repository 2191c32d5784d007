"""The signed text in a tracked URL: what it says, sealing it and reading it.

Halon's own tokens are in tokens.halon. What the door that a token opens does is in doors.
"""

from __future__ import annotations

import hashlib
import hmac
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import msgspec
from itsdangerous import BadData, Signer
from itsdangerous.encoding import base64_decode, base64_encode

from heardback.errors import BadLetter, BadToken
from heardback.keys import Key

Kind = Literal["open", "click", "unsubscribe", "preferences", "site"]

DOORS: Mapping[Kind, str] = {"open": "o", "click": "c", "unsubscribe": "u", "preferences": "p", "site": "e"}
"""The first path segment that a kind is served at."""

LONGEST = 16_384
"""Characters of the longest text that is looked at; our own tracked URLs stay under 7,000."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a tracked URL says. A field that a kind has no use for keeps its default."""

    kind: Kind
    recipient: str = ""
    message_id: str = ""
    """With its angle brackets, as the letter's header has it."""
    url: str = ""
    """Where a click goes, byte for byte; ASCII."""
    link: int | None = None
    """Index of the link in the letter; None where it stands in no letter."""
    list: str = ""
    mode: str = "full"
    sent_at: int = 0
    """Unix seconds; 0 where nobody knows."""
    additional: Mapping[str, Any] = field(default_factory=dict)
    domain: str = ""
    """The base URL that the token is for, where that is not the server's first."""


class Keyring:
    """The keys, ready for use: the first seals, all of them read. Thread-safe."""

    def __init__(self, keys: Sequence[str], *, conceal: bool = True) -> None:
        """Take keys as `id:secret`; raise ValueError on a bad one, on a repeated id and where there is none."""
        parsed = [Key.parse(key) for key in keys]
        if not parsed or len({key.id for key in parsed}) < len(parsed):
            raise ValueError("a keyring needs keys, each with an id of its own")
        self._first = parsed[0].id
        self._conceal = conceal
        self._boxes = {(key.id, kind): _Box.of(key, kind) for key in parsed for kind in DOORS}

    def seal(self, token: Token) -> str:
        """Make a token's text: always the same for the same token and keys.

        An anonymous open or click is sealed without recipient and additional. Raises BadLetter where a field holds
        what cannot be written: a lone surrogate, an integer of more than 64 bits.
        """
        return self._boxes[self._first, token.kind].seal(_bare(token), conceal=self._conceal)

    def read(self, kind: Kind, text: str) -> Token:
        """Say what a text says, if one of our keys sealed it for this kind. Raises BadToken alone, on any text."""
        if len(text) > LONGEST or not text.isascii():
            raise BadToken
        try:
            key_id = _key_id(base64_decode(text.partition(".")[0]))
            return self._boxes[key_id, kind].read(text)
        except (BadData, KeyError, IndexError, ValueError, TypeError, zlib.error, msgspec.MsgspecError) as error:
            raise BadToken from error


# A token is `payload.signature`. The payload, in base64url, is one byte of format, one of flags and of the length of
# the key's id less one, the id, then the packed fields: deflated where that is shorter, sealed by AES-SIV where they
# are concealed (RFC 5297: the nonce is a keyed hash of the plaintext). The signature is itsdangerous' over that text.

_FORMAT = 1
_CONCEALED, _COMPRESSED, _LENGTH = 0x80, 0x40, 0x1F
_LARGEST = 65_536


class _Said(msgspec.Struct, array_like=True):
    """What is packed of a token: an array. A later version appends to it; what it appends is passed over here."""

    recipient: str = ""
    message_id: str = ""
    url: str = ""
    link: int | None = None
    list: str = ""
    mode: str = ""
    """Empty for `full`."""
    sent_at: int = 0
    additional: dict[str, Any] = {}
    domain: str = ""


_DICTIONARY = (
    b"&utm_term=&utm_content=&utm_campaign=unsubscribe?id=newsletter/product/index.html@yahoo.com@outlook.com@hotmail.com"
    b"@icloud.com@gmail.com.co.uk/.net/.org/http://https://www.com/https://?utm_source=newsletter&utm_medium=email@mail."
)
"""What zlib may refer back to: part of format 1, never changed in it."""


class _Cipher(Protocol):
    def encrypt(self, data: bytes, associated_data: list[bytes] | None) -> bytes: ...
    def decrypt(self, data: bytes, associated_data: list[bytes] | None) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _Box:
    """One key made ready for one kind."""

    key_id: bytes
    kind: Kind
    signer: Signer
    cipher: _Cipher

    @classmethod
    def of(cls, key: Key, kind: Kind) -> _Box:
        salt = f"heardback.{kind}"
        derived = Signer(key.secret, salt, key_derivation="hmac", digest_method=hashlib.sha256).derive_key()
        # The derived key is kept: deriving it for each token costs six times the HMAC itself (measured, issue 7).
        signer = Signer(derived, salt, key_derivation="none", digest_method=hashlib.sha256)
        return cls(key.id.encode(), kind, signer, _cipher(key, kind))

    def seal(self, token: Token, *, conceal: bool) -> str:
        flags, body = _deflated(_packed(token))
        flags |= len(self.key_id) - 1 | (_CONCEALED if conceal else 0)
        head = bytes((_FORMAT, flags)) + self.key_id
        payload = head + (self.cipher.encrypt(body, [head]) if conceal else body)
        return self.signer.sign(base64_encode(payload)).decode()

    def read(self, text: str) -> Token:
        payload = base64_decode(self.signer.unsign(text))
        flags, start = payload[1], 2 + len(self.key_id)
        body = payload[start:]
        if flags & _CONCEALED:
            body = self._revealed(body, payload[:start])
        if flags & _COMPRESSED:
            body = _inflated(body)
        return _unpacked(self.kind, body)

    def _revealed(self, body: bytes, head: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        try:
            return self.cipher.decrypt(body, [head])
        except InvalidTag as error:
            raise BadToken from error


def _cipher(key: Key, kind: Kind) -> _Cipher:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    return AESSIV(hmac.digest(key.secret.encode(), f"heardback.conceal.{kind}".encode(), "sha512"))


def _key_id(payload: bytes) -> str:
    if payload[0] != _FORMAT:
        raise BadToken
    return payload[2 : 3 + (payload[1] & _LENGTH)].decode("ascii")


def _bare(token: Token) -> Token:
    if token.mode == "anonymous" and token.kind in ("open", "click"):
        return replace(token, recipient="", additional={})
    return token


def _packed(token: Token) -> bytes:
    said = _Said(
        token.recipient,
        token.message_id,
        token.url,
        token.link,
        token.list,
        "" if token.mode == "full" else token.mode,
        token.sent_at,
        dict(token.additional),
        token.domain,
    )
    try:
        return msgspec.msgpack.encode(said, order="deterministic")
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise BadLetter(f"A token cannot say this: {error}") from error


def _unpacked(kind: Kind, body: bytes) -> Token:
    said = msgspec.msgpack.decode(body, type=_Said)
    return Token(
        kind,
        said.recipient,
        said.message_id,
        said.url,
        said.link,
        said.list,
        said.mode or "full",
        said.sent_at,
        said.additional,
        said.domain,
    )


def _deflated(packed: bytes) -> tuple[int, bytes]:
    # A window of 1 KiB and little memory: zlib's default would spend ten times as long on clearing its tables.
    deflate = zlib.compressobj(6, zlib.DEFLATED, -10, 2, zlib.Z_DEFAULT_STRATEGY, _DICTIONARY)
    small = deflate.compress(packed) + deflate.flush()
    return (_COMPRESSED, small) if len(small) < len(packed) else (0, packed)


def _inflated(small: bytes) -> bytes:
    inflate = zlib.decompressobj(-15, _DICTIONARY)
    packed = inflate.decompress(small, _LARGEST)
    if not inflate.eof:
        raise BadToken
    return packed
