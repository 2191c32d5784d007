"""What people have asked for, found by their addresses: who must not be named, who gets no letters, who is forgotten.

Withdrawn consents are known to a node at every moment: they are read before the first hit is named, and followed
since. Keeping them is the stores'; what an anonymous event lacks is in privacy.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import replace

import orjson

from heardback.events import Clock, Record
from heardback.following import Changes
from heardback.formats import native
from heardback.privacy import pseudonym
from heardback.stores import Forgotten, Person, Store, Suppression

LEARNS_WITHIN_S = 1.0
"""When every node has heard of somebody to be forgotten: following.EVERY_S, and what reading takes."""


class Consents:
    """What this node knows of people, under keyed hashes of their addresses alone."""

    def __init__(
        self,
        store: Store,
        hash_key: str,
        *,
        forgotten: Callable[[Set[str]], object] = lambda people: None,
        clock: Clock = time.time,
    ) -> None:
        """Know nothing yet; `forgotten` is called with the keyed hashes of people who are to be forgotten."""
        self._store = store
        self._key = hash_key
        self._tell = forgotten
        self._clock = clock
        self._denied: set[str] = set()
        self._forgotten: dict[str, float] = {}
        self.changes = Changes(store.people, lambda each: each.person, self._learn, "consents")

    def forbids(self, recipient: str, sent_at: float) -> bool:
        """Say whether a hit of a letter, sent at that Unix second (0: nobody knows), must be anonymous.

        `recipient` is an address, or the keyed hash of one.
        """
        if not self.changes.ready:
            return True
        if not recipient or not (self._denied or self._forgotten):
            return False
        return any(
            person in self._denied or sent_at <= self._forgotten.get(person, -math.inf)
            for person in (recipient, pseudonym(recipient, self._key))
        )

    async def of(self, recipient: str) -> Person:
        """Give what stands of a recipient. Raises StoreError."""
        person = pseudonym(recipient, self._key)
        return await self._store.person(person) or Person(person)

    async def set(self, recipient: str, consent: str, how: str) -> Person:
        """Keep what a recipient said; it is durable, and holds on this node, when this returns. Raises StoreError."""
        said = Person(pseudonym(recipient, self._key), consent, self._clock(), how)
        kept = await self._store.consent(said)
        self.changes.made(kept)
        return kept

    async def suppressed(self, recipient: str, list_name: str) -> Suppression | None:
        """Give the suppression of a recipient in a list, if any: by the keyed hash if they were forgotten.

        Raises StoreError.
        """
        by_name = await self._store.suppressed(recipient, list_name)
        return by_name or await self._store.suppressed(pseudonym(recipient, self._key), list_name)

    async def suppress(self, given: Sequence[Suppression]) -> int:
        """Put recipients among the suppressions who do not stand there, by name or keyed hash; say how many.

        Raises StoreError.
        """
        return await self._store.suppress_all(given, [pseudonym(each.recipient, self._key) for each in given])

    async def release(self, recipient: str, list_name: str) -> bool:
        """Take a recipient out of the suppressions of a list; say whether there was one. Raises StoreError."""
        by_name = await self._store.release(recipient, list_name)
        return await self._store.release(pseudonym(recipient, self._key), list_name) or by_name

    async def forget(self, recipient: str) -> Forgotten:
        """Erase a person; see the function of this name."""
        return await forget(self._store, recipient, self._key, clock=self._clock)

    def _learn(self, people: Sequence[Person]) -> None:
        for each in people:
            (self._denied.add if each.consent == "denied" else self._denied.discard)(each.person)
        news = {
            each.person: each.forgotten for each in people if each.forgotten > self._forgotten.get(each.person, 0.0)
        }
        self._forgotten |= news
        if news:
            self._tell(news.keys())


def remains(record: Record, people: Set[str], hash_key: str) -> Record | None:
    """Give what may be written of a record now that these people, keyed hashes, are to be forgotten; None for nothing.

    An unsubscribe that waits to be written is not forgotten: it stands under the keyed hash.
    """
    if not record.recipient:
        return record
    person = record.recipient if record.recipient in people else pseudonym(record.recipient, hash_key)
    if person not in people:
        return record
    return nameless(record, person) if record.type == "unsubscribe" else None


def nameless(record: Record, person: str) -> Record:
    """Put the keyed hash of a person in their place in a record, and nothing else that tells of them."""
    nothing = {"message_id": "", "ip": "", "user_agent": "", "additional": {}}
    body = orjson.loads(record.body) | nothing | {"recipient": person, "mode": "pseudonymous"}
    return replace(record, recipient=person, message_id="", body=native.packed(body), signals=b"{}")


async def forget(
    store: Store, recipient: str, hash_key: str, *, clock: Clock = time.time, known_within_s: float | None = None
) -> Forgotten:
    """Erase a person, and once more what nodes still had in memory, or were appending; say how much. Raises StoreError.

    When it raises, or is cancelled, the job is not finished: the same call may be made again, and ends it.
    """
    person = pseudonym(recipient, hash_key)
    first = await store.forget(recipient, person, clock())
    await asyncio.sleep(LEARNS_WITHIN_S + store.append_s if known_within_s is None else known_within_s)
    second = await store.forget(recipient, person, clock())
    return Forgotten(
        first.events + second.events,
        first.dead_letters + second.dead_letters,
        first.batches + second.batches,
        first.suppressions + second.suppressions,
    )
