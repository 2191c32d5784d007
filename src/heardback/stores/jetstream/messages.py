"""What stands in the stream: a message an event, and a message for each record that is changed later, by its subject.

Pure. Of every subject the stream keeps the last message alone; the subjects name nobody, they hold keyed hashes. Who
publishes is the package's own module, who reads is projection.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import UUID, uuid4

import msgspec

from heardback.errors import StoreError
from heardback.events import Record
from heardback.stores import Batch, Cursor, DeadLetter, Judged, Person, Suppression
from heardback.stores.blocks import Block
from heardback.stores.tables import text

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Message:
    """Something to be published; the stream's name stands before the subject."""

    subject: str
    payload: bytes
    expected: int | None = None
    """The sequence that the last message of this subject must have; 0: there must be none."""
    among: str = ""
    """The subjects, as a filter, that `expected` is about, where it is more than its own."""
    id: str = ""
    """What the servers know a repeated message by, for some minutes."""
    passing: bool = False
    """Whether it is of no more use once every node has read it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message of the stream, and its place in it."""

    sequence: int
    subject: str
    payload: bytes

    @property
    def kind(self) -> str:
        """Give the first word of the subject."""
        return self.subject.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Place:
    """A cursor, less its batch, which stands in messages of its own: a lease is renewed without its body."""

    cursor: Cursor
    batch_id: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a batch, for a message has an upper size."""

    reader: str
    batch_id: str
    number: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Verdicts of events: the first of an event is kept, the last that was revised counts."""

    kept: tuple[Judged, ...] = ()
    revised: tuple[Judged, ...] = ()


@dataclass(frozen=True, slots=True)
class Burial:
    """A dead letter that is one, or is one no more."""

    letter: DeadLetter
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Erased:
    """Events that were deleted from the stream."""

    events: tuple[tuple[int, UUID], ...]
    """Position and id."""
    secure: bool = False
    """Whether no byte of them may be left in a file."""


class Writer:
    """Makes messages, with hashes under one key."""

    def __init__(self, key: str) -> None:
        """Take the key."""
        self._key = key.encode()

    def hashed(self, value: str) -> str:
        """Give what a subject has in a text's place: 16 characters."""
        plain = value.encode(errors="replace")
        return urlsafe_b64encode(hmac.digest(self._key, plain, "sha256")[:12]).decode()

    def recipient(self, address: str) -> str:
        """Give what a subject has in an address's place, the same in any case of its ASCII letters."""
        return self.hashed(address.encode(errors="replace").lower().decode())

    def event_subject(self, record: Record) -> str:
        """Give `event.TYPE.RECIPIENT.LETTER.ID`: what is about a recipient, or of a letter, is a filter of it."""
        about = f"{self.recipient(record.recipient)}.{self.hashed(record.message_id)}"
        return f"event.{record.type}.{about}.{record.event_id.hex}"

    def events_of(self, recipient: str) -> str:
        """Give the filter of a recipient's events."""
        return f"event.*.{self.recipient(recipient)}.>"

    def cursor_subject(self, name: str) -> str:
        """Give the subject of a reader's cursor."""
        return f"cursor.{self.hashed(name)}"

    def suppression_subject(self, recipient: str, list_name: str) -> str:
        """Give what the subjects of a suppression begin with.

        Each has a last word of its own, so that what it replaces can be erased: it names somebody.
        """
        return f"suppression.{self.recipient(recipient)}.{self.hashed(list_name)}"

    def suppressions_of(self, recipient: str) -> str:
        """Give the filter of a recipient's suppressions."""
        return f"suppression.{self.recipient(recipient)}.>"

    def event(self, record: Record, *, known: bool = False) -> Message:
        """Put an event into the stream, where it is not there; `known` says that its id was looked up by now."""
        cleaned = replace(
            record, recipient=text(record.recipient), message_id=text(record.message_id), list=text(record.list)
        )
        event_id = "" if known else str(record.event_id)
        return Message(self.event_subject(record), encoded(cleaned), 0, id=event_id)

    def verdicts(self, verdicts: Verdicts) -> Message:
        """Put verdicts on events."""
        return Message(f"verdict.{uuid4().hex}", encoded(verdicts))

    def place(self, cursor: Cursor, expected: int) -> Message:
        """Write a cursor, if nobody else did."""
        plain = replace(cursor, batch=None, last_answer=text(cursor.last_answer))
        place = Place(plain, cursor.batch.id if cursor.batch else "")
        return Message(self.cursor_subject(cursor.name), encoded(place), expected)

    def pieces(self, reader: str, batch: Batch, size: int) -> list[Message]:
        """Write a batch, in messages of so many bytes at most."""
        whole = encoded(batch)
        subject = f"piece.{self.hashed(reader)}.{self.hashed(batch.id)}"
        return [
            Message(f"{subject}.{number}", encoded(Piece(reader, batch.id, number, whole[start : start + size])))
            for number, start in enumerate(range(0, len(whole), size))
        ]

    def burial(self, letter: DeadLetter, *, gone: bool = False) -> Message:
        """Write that an event is a dead letter, or no more."""
        subject = f"dead.{self.hashed(letter.destination)}.{letter.event_id.hex}"
        return Message(subject, encoded(Burial(replace(letter, answer=text(letter.answer)), gone)), passing=gone)

    def suppression(self, suppression: Suppression, expected: int) -> Message:
        """Write a suppression, if nobody else did."""
        recipient, list_name, letter = map(text, (suppression.recipient, suppression.list, suppression.message_id))
        cleaned = Suppression(recipient, list_name, suppression.since, letter)
        subject = self.suppression_subject(suppression.recipient, suppression.list)
        return Message(f"{subject}.{uuid4().hex}", encoded(cleaned), expected, f"{subject}.*")

    def release(self, recipient: str, list_name: str, expected: int) -> Message:
        """Take a suppression away, if nobody changed it; its message names nobody."""
        subject = self.suppression_subject(recipient, list_name)
        return Message(f"{subject}.{uuid4().hex}", b"", expected, f"{subject}.*")

    def person(self, person: Person, expected: int) -> Message:
        """Write what is known of a person, if nobody else did."""
        return Message(person_subject(person.person), encoded(replace(person, how=text(person.how))), expected)

    def block(self, block: Block) -> Message:
        """Write a block, or that it was lifted; the last word counts."""
        cleaned = replace(block, value=text(block.value), why=text(block.why))
        return Message(f"block.{block.kind}.{self.hashed(cleaned.value)}", encoded(cleaned))

    def erased(self, events: Iterable[tuple[int, UUID]], *, secure: bool = False) -> Message:
        """Tell of events that were deleted."""
        return Message(f"erased.{uuid4().hex}", encoded(Erased(tuple(events), secure)), passing=True)


def person_subject(person: str) -> str:
    """Give the subject of a person, who is a keyed hash already."""
    return f"person.{person or '-'}"


def encoded(value: object) -> bytes:
    """Write a value as MessagePack; what a later heardback adds to it an earlier one passes over."""
    return msgspec.msgpack.encode(value)


def decoded(payload: bytes, kind: type[T]) -> T:
    """Read what `encoded` wrote; raise StoreError where it is something else, or not all of it."""
    try:
        return msgspec.msgpack.decode(payload, type=kind)
    except msgspec.DecodeError as error:
        raise StoreError(f"JetStream: there is no {kind.__name__} in a message: {error}") from error


def parted(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Part items into runs of so many at most."""
    return (items[start : start + size] for start in range(0, len(items), size))
