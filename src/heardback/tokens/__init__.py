"""The signed text in a tracked URL: what it says, sealing it and reading it.

Halon's own tokens are in tokens.halon. What the door that a token opens does is in doors.
"""

from __future__ import annotations

import hashlib
import hmac
import zlib
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec
from itsdangerous import Signer

from heardback.errors import BadLetter, BadToken
from heardback.keys import Key

Kind = Literal["open", "click", "unsubscribe", "preferences", "site"]

DOORS: Mapping[Kind, str] = {"open": "o", "click": "c", "unsubscribe": "u", "preferences": "p", "site": "e"}
"""The first path segment that a kind is served at."""

HONEYPOT = -1
"""The `link` of the one that no person sees."""

Told = Callable[[Kind, str], None]
"""Is called with the kind of a text that was read and the id of the key that sealed it; none where it is no token."""

DOCTOR = "doctor@heardback.invalid"
"""The recipient of the doctor's own tokens: they are answered, and nothing is recorded of them (RFC 6761: nobody's)."""

LONGEST = 16_384
"""Characters of the longest text that is looked at; our own tracked URLs stay under 7,000."""


@dataclass(slots=True)  # not frozen: that takes five times as long to make, and one is made for each hit
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
    event_id: UUID | None = None
    """The click that a site token was handed out at; whoever clicked, and what, stands with that."""


class Keyring:
    """The keys, ready for use: the first seals, all of them read. Thread-safe."""

    def __init__(self, keys: Sequence[str], *, conceal: bool = True, told: Told = lambda kind, key_id: None) -> None:
        """Take keys as `id:secret`; raise ValueError on a bad one, on a repeated id and where there is none.

        `told` is called for each text that is read.
        """
        parsed = [Key.parse(key) for key in keys]
        if not parsed or len({key.id for key in parsed}) < len(parsed):
            raise ValueError("a keyring needs keys, each with an id of its own")
        self.told = told
        boxes = [_Box.of(key, kind, conceal=each) for key in parsed for kind in DOORS for each in (True, False)]
        self._boxes = {(box.kind, box.head): box for box in boxes}
        self._sealing = {box.kind: box for box in reversed(boxes) if box.conceal == conceal}

    def seal(self, token: Token) -> str:
        """Make a token's text: always the same for the same token and keys.

        An anonymous open, click or site token is sealed without recipient and additional. Raises BadLetter where a
        field holds what cannot be written: a lone surrogate, an integer of more than 64 bits.
        """
        return self.blank(token).seal(token.recipient)

    def blank(self, token: Token) -> Blank:
        """Prepare a token for many recipients; its own is passed over. Raises BadLetter, as `seal` does."""
        deflate = _deflate()
        deflated = deflate.compress(_packed(_said(token, token.url, token.link))) + deflate.flush()
        return Blank(self._sealing[token.kind], deflated, _is_anonymous(token))

    def stem(self, token: Token) -> Stem:
        """Prepare tokens that lead to different places; its own is passed over. Raises BadLetter, as `seal` does."""
        return Stem(self._sealing[token.kind], token)

    def read(self, kind: Kind, text: str) -> Token:
        """Say what a text says, if one of our keys sealed it for this kind. Raises BadToken alone, on any text."""
        if len(text) > LONGEST:
            raise self._refused(kind)
        try:
            # What itsdangerous' Signer.unsign does, each step once: of 11 µs it takes 5 away (measured).
            signed, _, signature = text.encode("ascii").rpartition(b".")
            payload = _decoded(signed)
            head = payload[: 3 + (payload[1] & _LENGTH)]
            box = self._boxes[kind, head]
            token = box.read(signed, payload[len(head) :], _decoded(signature))
        except (BadToken, KeyError, IndexError, ValueError, TypeError, zlib.error, msgspec.MsgspecError) as error:
            raise self._refused(kind) from error
        self.told(kind, box.key_id)
        return token

    def _refused(self, kind: Kind) -> BadToken:
        self.told(kind, "")
        return BadToken()


# A token is `payload.signature`. The payload, in base64url, is one byte of format, one of flags and of the length of
# the key's id less one, the id, then the body: the packed fields, deflated, and behind that stream's own end the
# recipient. The body is sealed by AES-SIV where it is concealed (RFC 5297: the nonce is a keyed hash of the plaintext).
# The signature is itsdangerous' over that text.
# The recipient stands apart so that the rest, over half of what a token costs, is made once for all people of a letter.

_FORMAT = 1
_CONCEALED, _LENGTH = 0x80, 0x1F
_LARGEST = 65_536
_URL_SAFE, _PLAIN = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_", b"+/")
_SIV, _SIGNATURE = 16, 43
"""Bytes of an AES-SIV's tag, characters of a signature."""


class _Said(msgspec.Struct, array_like=True):
    """What is packed of a token, less the recipient: an array.

    A later version appends to it; what it appends is passed over here.
    """

    message_id: str = ""
    url: str = ""
    link: int | None = None
    sent_at: int = 0
    list: str = ""
    mode: str = ""
    """Empty for `full`."""
    additional: dict[str, Any] = {}
    domain: str = ""
    event_id: bytes = b""
    """Left out where there is none: most tokens stand in letters, where each byte counts."""


_DICTIONARY = (
    b"&utm_term=&utm_content=unsubscribe?id=newsletter/article/product/index.html.co.uk/.net/.org/&utm_id=/track/click?"
    b"@mail.gmail.com>@example.com/http://https://www.facebook.com/https://www.com/https://?utm_source=newsletter"
    b"&utm_medium=email&utm_campaign=20\xa0\xa0\x80\xa0"
)
"""What zlib may refer back to: part of format 1, never changed in it."""


class _Cipher(Protocol):
    def encrypt(self, data: bytes, associated_data: list[bytes] | None) -> bytes: ...
    def decrypt(self, data: bytes, associated_data: list[bytes] | None) -> bytes: ...


class _Hmac(Protocol):
    def copy(self) -> _Hmac: ...
    def update(self, data: bytes) -> None: ...
    def finalize(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _Box:
    """One key made ready for one kind."""

    kind: Kind
    key_id: str
    head: bytes
    """What its payloads begin with."""
    conceal: bool
    signing: _Hmac
    """itsdangerous' signature, begun; it is only copied."""
    cipher: _Cipher
    bound: list[bytes]
    """The head: what is concealed is bound to it."""
    overhead: int
    """Bytes of a payload that are not its body's own."""

    @classmethod
    def of(cls, key: Key, kind: Kind, *, conceal: bool) -> _Box:
        flags = len(key.id) - 1 | (_CONCEALED if conceal else 0)
        salt = f"heardback.{kind}"
        derived = Signer(key.secret, salt, key_derivation="hmac", digest_method=hashlib.sha256).derive_key()
        # The derived key is kept: deriving it for each token costs six times the HMAC itself (measured, issue 7).
        head = bytes((_FORMAT, flags)) + key.id.encode()
        overhead = len(head) + (_SIV if conceal else 0)
        return cls(kind, key.id, head, conceal, _hmac(derived), _cipher(key, kind), [head], overhead)

    def seal(self, body: bytes) -> str:
        # What itsdangerous' own signer would write, in two thirds of its time (measured: 3.9 µs a token, 2.6 so).
        text = _base64(self.head + (self.cipher.encrypt(body, self.bound) if self.conceal else body))
        return (text + b"." + _base64(self.signature(text))).decode()

    def signature(self, text: bytes) -> bytes:
        signing = self.signing.copy()
        signing.update(text)
        return signing.finalize()

    def read(self, signed: bytes, body: bytes, signature: bytes) -> Token:
        if not hmac.compare_digest(self.signature(signed), signature):
            raise BadToken
        packed, recipient = _inflated(self._revealed(body) if self.conceal else body)
        return _unpacked(self.kind, recipient.decode(), packed)

    def _revealed(self, body: bytes) -> bytes:
        try:
            return self.cipher.decrypt(body, self.bound)
        except _invalid_tag() as error:
            raise BadToken from error


class Stem:
    """What the tokens of a letter's links have in common. Made by `Keyring.stem`."""

    def __init__(self, box: _Box, token: Token) -> None:
        self._box = box
        self._anonymous = _is_anonymous(token)
        packed = _packed(_said(token, "", None))
        before = 1 + len(_packed(token.message_id))
        self._rest = packed[before + 2 :]  # less the empty URL and that there is no link: a byte each
        # What all begin with is a block of its own in the deflated stream, so that it is deflated once a letter:
        # a link takes 5.2 µs where the whole took 7.4, and a token gets 1.6 characters longer (measured on real URLs).
        self._deflate = _deflate()
        self._begun = self._deflate.compress(packed[:before]) + self._deflate.flush(zlib.Z_BLOCK)

    def blank(self, url: str, link: int | None) -> Blank:
        """Prepare the token that leads there for many recipients. Raises BadLetter, as `Keyring.seal` does.

        It says what `Keyring.blank`'s does; its text is another, for it is deflated in two blocks.
        """
        deflate = self._deflate.copy()
        packed = _packed((url, link))[1:] + self._rest  # less the byte that says how many there are
        return Blank(self._box, self._begun + deflate.compress(packed) + deflate.flush(), self._anonymous)


class Blank(msgspec.Struct, frozen=True, gc=False):
    """A token with all that is the same for every recipient of a letter. Made by `Keyring.blank`."""

    box: _Box
    said: bytes
    anonymous: bool

    def seal(self, recipient: str) -> str:
        """Make the text for one recipient. Raises BadLetter where they cannot be written."""
        try:
            return self.box.seal(self.said if self.anonymous else self.said + recipient.encode())
        except UnicodeEncodeError as error:
            raise BadLetter(f"A token cannot say this: {error}") from error

    def length(self, size: int) -> int:
        """Say how many characters the text has for a recipient of so many bytes in UTF-8."""
        body = self.box.overhead + len(self.said) + (0 if self.anonymous else size)
        return -(-body * 4 // 3) + 1 + _SIGNATURE


def _cipher(key: Key, kind: Kind) -> _Cipher:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    return AESSIV(hmac.digest(key.secret.encode(), f"heardback.conceal.{kind}".encode(), "sha512"))


def _invalid_tag() -> type[Exception]:
    from cryptography.exceptions import InvalidTag

    return InvalidTag


def _hmac(key: bytes) -> _Hmac:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.hmac import HMAC

    return HMAC(key, SHA256())  # copied and finished in 0.6 µs, where the standard library's takes 1.1 (measured)


def _base64(data: bytes) -> bytes:
    return b2a_base64(data, newline=False).rstrip(b"=").translate(_URL_SAFE)


def _decoded(text: bytes) -> bytes:
    """Do what itsdangerous' base64_decode does, in half the time."""
    return a2b_base64(text.translate(_PLAIN) + b"=" * (-len(text) % 4))


def sent_at(said: int | None, now: float, kind: Kind, mode: str) -> int:
    """Give the Unix second that a token says its letter left at: as it was said, else now.

    An anonymous one says none then: people whose copies were made in different seconds could be told apart.
    """
    if said is not None:
        return said
    return 0 if _names_nobody(kind, mode) else int(now)


def _names_nobody(kind: Kind, mode: str) -> bool:
    return mode == "anonymous" and kind in ("open", "click", "site")


def _is_anonymous(token: Token) -> bool:
    return _names_nobody(token.kind, token.mode)


def _said(token: Token, url: str, link: int | None) -> tuple[object, ...]:
    """Give the fields of `_Said`, less the event's id where there is none."""
    return (
        token.message_id,
        url,
        link,
        token.sent_at,
        token.list,
        "" if token.mode == "full" else token.mode,
        {} if _is_anonymous(token) else dict(token.additional),
        token.domain,
        *((token.event_id.bytes,) if token.event_id else ()),
    )


_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODER = msgspec.msgpack.Decoder(_Said)


def _packed(said: object) -> bytes:
    try:
        return _ENCODER.encode(said)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise BadLetter(f"A token cannot say this: {error}") from error


def _unpacked(kind: Kind, recipient: str, packed: bytes) -> Token:
    said = _DECODER.decode(packed)
    return Token(
        kind,
        recipient,
        said.message_id,
        said.url,
        said.link,
        said.list,
        said.mode or "full",
        said.sent_at,
        said.additional,
        said.domain,
        UUID(bytes=said.event_id) if said.event_id else None,
    )


def _deflate() -> zlib._Compress:
    # A window of 1 KiB and little memory: zlib's default would spend ten times as long on clearing its tables.
    return zlib.compressobj(3, zlib.DEFLATED, -10, 2, zlib.Z_DEFAULT_STRATEGY, _DICTIONARY)


def _inflated(body: bytes) -> tuple[bytes, bytes]:
    """Give what was deflated at the beginning of a body, and the rest as it stands."""
    inflate = zlib.decompressobj(-15, _DICTIONARY)
    packed = inflate.decompress(body, _LARGEST)
    if not inflate.eof:
        raise BadToken
    return packed, inflate.unused_data
