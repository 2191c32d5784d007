"""The contract's part about people: addresses in any case of letters, consents, and being forgotten. See contract."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from heardback.events import Record
from heardback.stores import Batch, DeadLetter, Filter, Forgotten, Person, Store, Suppression, cursors
from tests.contract import HOUR, HUMAN, NOON, OpenStore, click, everything, unsubscribe
from tests.contract_verdicts import judged, site_event, verdict_event

JANE, HASH = "jane@example.org", "0123456789abcdef0123456789abcdef"
NOW = NOON + 2 * HOUR


def batch_of(*records: Record) -> Batch:
    """Pin events."""
    return Batch(f"msg_{records[0].event_id.hex}", tuple(record.event_id for record in records), 9, JANE.encode() * 9)


@pytest.mark.anyio
class PeopleContract:
    """What every store promises to people."""

    async def test_addresses_in_any_case(self, store: Store) -> None:
        """Who unsubscribes in one case of letters is unsubscribed in all, and the same button is the same."""
        await store.append([first := unsubscribe(NOON, "Jane@Example.org"), unsubscribe(NOON + 1, "jANE@example.ORG")])
        assert await everything(store) == [first]
        found = await store.suppressed("JANE@EXAMPLE.ORG", "")
        assert found
        assert await store.suppress(Suppression(JANE, "", 1)) == found == (await store.suppressions())[0]
        assert len(await store.suppressions()) == 1
        assert await store.release("JANE@example.org", "")
        assert await store.suppressions() == []

    async def test_unsubscribe_anew(self, store: Store) -> None:
        """Who was let back in and presses the same button within the hour unsubscribes anew; twice is once again."""
        presses = [unsubscribe(NOON + second) for second in (0, 1, 10, 11, 12)]
        await store.append(presses[:2])
        assert await store.release(JANE, "")
        await store.append(presses[2:4])
        await store.append(presses[4:])
        assert await everything(store) == [presses[0], presses[2]]
        found = await store.suppressed(JANE, "")
        assert found and found.since == (NOON + 10) * 1000

    async def test_let_back_in_and_out_again(self, store: Store, open_store: OpenStore) -> None:
        """Whoever comes and goes among the suppressions, nobody else goes with them."""
        for _ in range(2):
            await store.suppress(Suppression("joe@x.example", "", 1))
            assert await store.release("joe@x.example", "")
            await store.suppress(Suppression(JANE, "", 1))
        await store.suppress(Suppression("joe@x.example", "", 1))
        for node in (store, await open_store()):
            assert [each.recipient for each in await node.suppressions()] == [JANE, "joe@x.example"]

    async def test_many_are_suppressed(self, store: Store, open_store: OpenStore) -> None:
        """Who is new is added and counted once, whoever else adds them; who stands there keeps the first date."""
        await store.suppress(known := Suppression(JANE, "", 1, "<1@x>"))
        await store.suppress(forgotten := Suppression(HASH, "news", 2))
        new = [Suppression(f"{number:04}@x.example", "news", number) for number in range(1_200)]
        given = [*new[:700], Suppression(JANE.upper(), "", 9), Suppression("joe@x", "news", 9), *new[600:]]
        given += [
            Suppression(HASH, "news", 9),
            Suppression("0000@X.example", "news", 9),
            odd := Suppression("\ud800", "", 0),
        ]
        hashes = [HASH if each.recipient == "joe@x" else "0" * 32 for each in given]
        node = await open_store()
        both = store.suppress_all(given, hashes), node.suppress_all(given[::-1], hashes[::-1])
        assert sum(await asyncio.gather(*both)) == 1_201
        assert await store.suppress_all(given, hashes) == await store.suppress_all([], []) == 0
        stands = await store.suppressions(limit=2_000)
        assert {(each.recipient.lower(), each.list) for each in stands} == {
            *((each.recipient, each.list) for each in (*new, known, forgotten, replace(odd, recipient="?")))
        }
        assert known in stands and forgotten in stands and len(stands) == 1_203

    async def test_restore(self, store: Store, open_store: OpenStore) -> None:
        """What another store had is appended as it was: each press, with verdicts, each id once; nobody is suppressed."""
        pressed = [unsubscribe(NOON + second) for second in range(3)]
        site, again = site_event(b"1" * 16), site_event(b"1" * 16)
        judged_click = replace(click(NOON), verdict=HUMAN, revised=HUMAN)
        await store.restore([pressed[2], judged_click, pressed[0], site])
        await (await open_store()).restore([judged_click, pressed[1], again, pressed[1], pressed[0]])
        await store.restore([])
        assert await everything(store) == [pressed[2], judged_click, pressed[0], site, pressed[1]]
        assert await store.suppressions() == []
        assert await store.waiting(0) == 5
        await store.append([unsubscribe(NOON + 4)])
        assert await store.suppressed(JANE, "") is not None

    async def test_consent(self, store: Store, open_store: OpenStore) -> None:
        """What a person said last stands, for every node, until they say something else."""
        assert await store.person(HASH) is None
        denied = await store.consent(Person(HASH, "denied", NOON + 0.5, "page \ud800"))
        assert replace(denied, change=0) == Person(HASH, "denied", NOON + 0.5, "page ?")
        assert await (await open_store()).person(HASH) == denied
        granted = await store.consent(Person(HASH, "granted", NOON + 9, "API"))
        assert await store.person(HASH) == granted != denied
        assert granted.change > denied.change > 0

    async def test_people_by_their_changes(self, store: Store) -> None:
        """Whoever reads on from the last change gets everybody's latest, in the order of the changes, also old times'."""
        said = [await store.consent(Person(f"{number:032}", "denied", NOON - number)) for number in range(5)]
        assert await store.people(0, 9) == said
        assert await store.people(said[1].change, 2) == said[2:4]
        again = await store.consent(replace(said[0], consent="granted", at=1.0))
        assert await store.people(0, 9) == [*said[1:], again]
        assert await store.people(said[-1].change, 9) == [again]
        assert await store.people(again.change, 9) == []

    async def test_forget_events(self, store: Store) -> None:
        """A person's events go, in any case of letters and under the keyed hash, and what tells of them; nothing else."""
        theirs = [click(NOON), click(NOON + 1, "Jane@EXAMPLE.org"), click(NOON + 2, HASH), site_event(b"1" * 16)]
        others = [click(NOON + 3, "joe@example.org"), click(NOON + 4, ""), click(NOON + 5, "xjane@example.org")]
        about = [verdict_event(theirs[0]), replace(verdict_event(theirs[3]), recipient="other")]
        theirs[1:1] = others
        await store.append(theirs)
        await store.keep(judged(*theirs))
        await store.append([*about, kept := verdict_event(others[0])])
        forgotten = await store.forget("JANE@example.org", HASH, NOW)
        assert forgotten == Forgotten(events=6, dead_letters=0, batches=0, suppressions=0)
        assert await everything(store) == [*(replace(record, verdict=HUMAN) for record in others), kept]
        assert await store.find(Filter(recipient=JANE)) == await store.find(Filter(recipient=HASH)) == []
        assert await store.site_events([b"1" * 16]) == {}
        assert await store.waiting(0) == 4

    @pytest.mark.parametrize("nobody", [("", ""), ("", HASH), ("never@seen.example", "")])
    async def test_forget_nobody(self, store: Store, nobody: tuple[str, str]) -> None:
        """Who is not there takes nobody's events along, and least of all those that name nobody."""
        await store.append(records := [click(NOON, ""), click(NOON), unsubscribe(NOON)])
        assert await store.forget(*nobody, NOW) == Forgotten(0, 0, 0, 0)
        assert await everything(store) == records
        assert await store.suppressed(JANE, "") is not None

    async def test_forget_dead_letters(self, store: Store) -> None:
        """A person's dead letters go, of every destination, those to be retried too; others' stay."""
        mine, other = click(NOON), click(NOON, "joe@example.org")
        await store.append([mine, other])
        for name in ("a", "b"):
            dead = [DeadLetter(name, record.event_id, "400", NOON) for record in (mine, other)]
            assert await store.save(await store.start(name, 9), dead)
            await store.retry(name)
        assert (await store.forget(JANE, HASH, NOW)).dead_letters == 2
        assert await store.dead_letter_counts() == {"a": 1, "b": 1}
        assert [each.record for each in await store.retried("a", 9)] == [other]

    async def test_forget_batches(self, store: Store) -> None:
        """A batch with a person's event is dropped as for a replay, whoever holds it; one without keeps its bytes."""
        mine, other = click(NOON), click(NOON, "joe@example.org")
        await store.append([mine, other])
        held = await store.save(cursors.pinned(await store.start("held", 3), batch_of(other, mine), "me", NOON))
        due = await store.start("due", 4)
        due = replace(due, batch=batch_of(mine), attempts=3, first_attempt=1.0, due=2.0, suspects=5, delivered=7)
        await store.save(due)
        kept = await store.save(cursors.pinned(await store.start("kept", 5), batch_of(other), "me", NOON))
        assert held
        assert kept
        assert (await store.forget(JANE, HASH, NOW)).batches == 2
        found = {name: await store.cursor(name) for name in ("held", "due", "kept")}
        revisions = {name: cursor.revision for name, cursor in found.items() if cursor}
        assert found == {
            "held": replace(cursors.replayed(held, 3), revision=revisions["held"]),
            "due": replace(cursors.replayed(due, 4), revision=revisions["due"]),
            "kept": replace(kept, revision=revisions["kept"]),
        }
        assert await store.save(cursors.settled(held, "200", NOON)) is None

    async def test_nobody_pins_what_was_read_before(self, store: Store) -> None:
        """Who read a person's events before they were erased, and pins them after, is refused."""
        await store.append([mine := click(NOON)])
        cursor = await store.start("main", 0)
        await store.forget(JANE, HASH, NOW)
        assert await store.save(cursors.pinned(cursor, batch_of(mine), "me", NOON)) is None
        again = await store.cursor("main")
        assert again
        assert await store.save(cursors.pinned(again, batch_of(click()), "me", NOON))

    async def test_forget_suppressions(self, store: Store) -> None:
        """Who was unsubscribed stays so under the keyed hash alone, from the first date, and nobody else changes."""
        presses = [unsubscribe(NOON + 5, "Jane@example.org", list_=name) for name in ("", "news")]
        await store.append([*presses, unsubscribe(NOON, "joe@example.org")])
        since = NOON * 1000
        await store.suppress(Suppression(HASH, "news", since, "<9@x>"))
        assert (await store.forget(JANE, HASH, NOW)).suppressions == 2
        assert await store.suppressed(JANE, "") is None
        assert await store.suppressions() == [
            Suppression(HASH, "", since + 5000),
            Suppression(HASH, "news", since),
            await store.suppressed("joe@example.org", ""),
        ]

    async def test_forgotten_is_known(self, store: Store) -> None:
        """That a person was forgotten, and when, is known beside what they said, and is a change that nodes learn of."""
        said = await store.consent(Person(HASH, "denied", NOON, "page"))
        await store.forget(JANE, HASH, NOW)
        forgotten = await store.person(HASH)
        assert forgotten == replace(said, forgotten=NOW, change=forgotten.change if forgotten else 0)
        assert await store.people(said.change, 9) == [forgotten]
        assert (await store.consent(Person(HASH, "granted", NOW + 1))).forgotten == NOW
        await store.forget("joe@example.org", "f" * 32, NOW)
        joe = await store.person("f" * 32)
        assert joe == Person("f" * 32, forgotten=NOW, change=joe.change if joe else 0)
        known = await store.consent(Person("e" * 32, forgotten=NOW))
        assert known == await store.person("e" * 32) == Person("e" * 32, forgotten=NOW, change=known.change)

    async def test_forget_again(self, store: Store) -> None:
        """What came since is erased by the next call; one with nothing left to do does no harm."""
        await store.append([click(NOON), unsubscribe(NOON)])
        assert await store.forget(JANE, HASH, NOW) == Forgotten(2, 0, 0, 1)
        assert await store.forget(JANE, HASH, NOW + 1) == Forgotten(0, 0, 0, 0)
        await store.append([click(NOW + 2), unsubscribe(NOW + 3)])
        assert await store.forget(JANE, HASH, NOW + 4) == Forgotten(2, 0, 0, 1)
        assert len(await store.suppressions()) == 1
        person = await store.person(HASH)
        assert person
        assert person.forgotten == NOW + 4
