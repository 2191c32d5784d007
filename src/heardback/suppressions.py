"""The suppressions as a table: given out, and taken in from a CSV file. How CSV is written and read is in sheets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from heardback import sheets
from heardback.consents import Consents
from heardback.dispatcher.report import iso
from heardback.events import seconds_of
from heardback.stores import WHOLE, People, Suppression

COLUMNS = ("recipient", "list", "since", "message_id")
AT_ONCE = 1_000
HASH_DIGITS = 32


def row(suppression: Suppression) -> tuple[str, ...]:
    """Write one, by the columns."""
    since = iso(suppression.since / 1000)
    return (suppression.recipient, suppression.list, since, suppression.message_id)


async def pages(people: People, list_name: str | None = None) -> AsyncIterator[list[Suppression]]:
    """Give those of a list, or all, by recipient and list. Raises StoreError."""
    after = ("", "")
    while page := await people.suppressions(list_name, AT_ONCE, after):
        yield page
        after = (page[-1].recipient, page[-1].list)


def read(file: bytes, now: float) -> list[Suppression]:
    """Read a CSV file: of the columns only `recipient` has to be there. Raises ValueError, saying where and what.

    `now`, in Unix seconds, is since when those are suppressed of whom the file does not say it.
    """
    try:
        text = file.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from None
    return [suppression_of(line, cells, now) for line, cells in sheets.read(text, ["recipient"])]


def suppression_of(line: int, cells: Mapping[str, str], now: float) -> Suppression:
    """Read a row: an address, or the keyed hash of somebody who was forgotten. Raises ValueError."""
    recipient, since = cells["recipient"], cells.get("since", "")
    if "@" not in recipient and not is_hash(recipient):
        raise ValueError(f"line {line} has no address")
    try:
        at = seconds_of(since) if since else now
    except ValueError as error:
        raise ValueError(f"line {line}: {error}") from None
    return Suppression(recipient, cells.get("list", ""), int(at * 1000), cells.get("message_id", ""))


def is_hash(text: str) -> bool:
    """Say whether a text is a keyed hash as suppressions have it."""
    return len(text) == HASH_DIGITS and set(text) <= set("0123456789abcdef")


async def take_in(consents: Consents, wanted: Sequence[Suppression]) -> int:
    """Put recipients among them, who are there keep their first dates; say how many are new. Raises StoreError.

    Each commit has WHOLE of them; where it raises, the same may be taken in again.
    """
    pieces = (wanted[start : start + WHOLE] for start in range(0, len(wanted), WHOLE))
    return sum([await consents.suppress(some) for some in pieces])
