"""Forgetting a person: what is left of them in files, queues, dead letters and memory, and what goes on being known."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from functools import partial
from pathlib import Path

import pytest

from heardback.consents import remains
from heardback.events import Event, new_id
from heardback.formats import native
from heardback.privacy import pseudonym
from heardback.stores import Filter
from heardback.stores.sqlite import SQLiteStore
from heardback.tokens import Keyring, Token
from tests.program import KEY, Program, command, wait_until
from tests.receiver import Got, Receiver
from tests.test_consents import AGENT, HEADERS, JANE, JOE, KEY_OF_HASHES, PRIVACY, hit_all, sealed
from tests.test_journal import journal_on, refusing
from tests.traces import at_receiver, in_files, in_log

RING = Keyring([KEY])
WORDS = (JANE, "Jane D.", AGENT, "198.51.100.77")


def feeds(down: Receiver, picky: Receiver) -> str:
    """Write the settings of two destinations, one that is down and one that refuses Jane's events."""
    return "".join(
        f'[[destinations]]\nname = "{name}"\nurl = "{receiver.url}"\nallow_private = true\nmax_wait_s = 0\n'
        for name, receiver in (("down", down), ("picky", picky))
    )


def of_joe(program: Program, message_id: str) -> None:
    """Let Joe open a letter."""
    program.ask("GET", f"/o/{RING.seal(Token('open', JOE, message_id, sent_at=9))}")


@pytest.mark.parametrize("by", ["API", "command"])
def test_nothing_is_left_of_the_forgotten(tmp_path: Path, by: str) -> None:
    """No word of theirs in the file, its log, batches or dead letters; what was pinned goes on without them, anew."""

    async def story() -> None:
        awake = asyncio.Event()

        def down(_: Got) -> int:
            return 200 if awake.is_set() else 503

        def picky(got: Got) -> int:
            return 422 if JANE.encode() in got.body else 200

        async with Receiver(down) as waiting, Receiver(picky) as refusing_her:
            with Program(tmp_path, PRIVACY + feeds(waiting, refusing_her)) as program:

                async def ask(path: str) -> None:
                    await asyncio.to_thread(program.ask, "GET", path, None, HEADERS)

                await asyncio.to_thread(of_joe, program, "<joe@x>")
                await asyncio.to_thread(hit_all, program, "<jane@x>", HEADERS)
                pseudonymous = sealed("open", "<pseudo@x>", mode="pseudonymous")
                await ask(f"/o/{pseudonymous}")
                await waiting.until(lambda: len(waiting.got) >= 1)
                await asyncio.to_thread(wait_until, partial(buried, program, 5), "five dead letters")
                assert {word for _, word in in_files(program.database, *WORDS)} == set(WORDS)

                counts = await asyncio.to_thread(forget, program, by)
                assert (counts[0] >= 6, counts[1], counts[3]) == (True, 5, 1), counts
                assert in_files(program.database, *WORDS) == []
                assert in_log(program, *WORDS) == []
                events = await asyncio.to_thread(program.events)
                assert {event["recipient"] for event in events} <= {JOE, ""}
                suppressions = (await asyncio.to_thread(program.api, "GET", "/api/suppressions")).json()["items"]
                assert [each["recipient"] for each in suppressions] == [pseudonym(JANE, KEY_OF_HASHES)]

                before = len(waiting.got)
                awake.set()
                await asyncio.to_thread(program.api, "POST", "/api/destinations/down/resume")
                await waiting.until(lambda: len(waiting.accepted) >= 1)
                later = waiting.got[before:]
                assert {got.headers["webhook-id"] for got in later}.isdisjoint(
                    got.headers["webhook-id"] for got in waiting.got[:before] if JANE.encode() in got.body
                )
                assert not any(word.encode() in got.body for got in later for word in WORDS)
                assert JOE in {event["recipient"] for got in waiting.accepted for event in got.events}
                assert at_receiver(refusing_her, AGENT) == [AGENT], "what left before is out of reach"

                old = sealed("open", "<jane@x>")
                await ask(f"/o/{old}")
                newer = sealed("open", "<new@x>", sent_at=4_000_000_000)
                assert in_files(program.database, *WORDS) == []
                await ask(f"/o/{newer}")
                assert await asyncio.to_thread(program.events, recipient=JANE) != []

    asyncio.run(story())


def buried(program: Program, count: int) -> bool:
    """Say whether so many of Jane's events are dead letters."""
    items = program.api("GET", "/api/destinations/picky/dead-letters").json()["items"]
    return len(items) == count


def forget(program: Program, by: str) -> list[int]:
    """Forget Jane, one way or the other; give the counts."""
    if by == "API":
        answer = program.api("DELETE", "/api/recipients/JANE@example.org")
        assert answer.status == 200
        assert list(answer.json()) == ["events", "dead_letters", "batches", "suppressions"]
        return list(answer.json().values())
    done = command(program.folder, "forget", "Jane@example.org")
    assert (done.returncode, done.stderr) == (0, b"")
    counts = re.fullmatch(
        r"erased: (\d+) events, (\d+) dead letters; made anew: (\d+) batches; "
        r"kept under a keyed hash: (\d+) suppressions\n",
        done.stdout.decode(),
    )
    assert counts, done.stdout
    return [int(count) for count in counts.groups()]


def test_what_memory_holds_is_forgotten(tmp_path: Path) -> None:
    """While the store takes no events they wait in memory: of Jane's, the unsubscribe alone is written, nameless."""
    with Program(tmp_path, PRIVACY) as program:
        with refusing(program.database):
            assert hit_all(program, "<held@x>", HEADERS)[-1] == 503
            of_joe(program, "<held@x>")
            assert command(tmp_path, "forget", JANE).returncode == 0
        wait_until(lambda: program.ask("GET", "/readyz").status == 200, "the store takes events again")
        wait_until(lambda: len(program.events()) == 2, "what is left")
        assert sorted(event["recipient"] for event in program.events()) == sorted([pseudonym(JANE, KEY_OF_HASHES), JOE])
        assert (in_files(program.database, *WORDS), in_log(program, *WORDS)) == ([], [])
        shown = program.api("GET", f"/api/suppressions/{JANE}").json()
        assert (shown["recipient"], shown["message_id"]) == (pseudonym(JANE, KEY_OF_HASHES), "")
        assert command(tmp_path, "forget", JANE).returncode == 0
        assert [event["recipient"] for event in program.events()] == [JOE]


def test_the_journal_forgets_what_it_holds(tmp_path: Path) -> None:
    """In the group being tried, in the one behind it; others keep their order, and are found while they wait."""
    path = tmp_path / "j.db"
    people = {pseudonym(JANE, KEY_OF_HASHES)}

    async def story() -> None:
        async with journal_on(path) as journal:
            with refusing(path):
                events = [Event("open", new_id(), 0, each, "<1@x>") for each in (JANE, JOE, JANE, JOE)]
                for event in events[:2]:
                    await journal.record(native.record(event))
                for event in events[2:]:
                    await journal.record(native.record(event))
                assert journal.in_memory == 4
                journal.forget(partial(remains, people=people, hash_key=KEY_OF_HASHES))
                assert journal.in_memory == 2
                assert [journal.held(event.event_id) is None for event in events] == [True, False, True, False]
            async with asyncio.timeout(10):
                while journal.in_memory:
                    await asyncio.sleep(0.01)
            assert (journal.counts.durable, journal.counts.lost, journal.healthy) == (2, 0, True)
        store = await SQLiteStore.open(path)
        found = [each.record.event_id for each in await store.find(Filter())]
        await store.close()
        assert found == [events[3].event_id, events[1].event_id]

    asyncio.run(story())


def test_a_journal_may_be_left_with_nothing(tmp_path: Path) -> None:
    """When all that waits is forgotten, nothing is written, and the next record is."""
    path = tmp_path / "j.db"

    async def story() -> None:
        async with journal_on(path) as journal:
            with refusing(path):
                await journal.record(native.record(Event("open", new_id(), 0, JANE, "<1@x>")))
                journal.forget(lambda record: None)
                assert journal.in_memory == 0
            assert await journal.record(native.record(Event("open", new_id(), 0, JOE, "<1@x>")), 5) in (
                "kept",
                "durable",
            )
            async with asyncio.timeout(10):
                while journal.in_memory:
                    await asyncio.sleep(0.01)
            assert journal.counts.durable == 1

    asyncio.run(story())


def test_whoever_comes_back_unsubscribes_anew(tmp_path: Path) -> None:
    """Within the hour, by the same button: somebody who subscribed again in between is not passed over."""
    path = f"/u/{sealed('unsubscribe', '<1@x>')}"
    with Program(tmp_path, PRIVACY) as program:
        for _ in range(2):
            assert program.ask("POST", path).status == 200
        assert len(program.events(type="unsubscribe")) == 1
        assert program.api("DELETE", f"/api/suppressions/{JANE}").status == 204
        for _ in range(2):
            assert program.ask("POST", path).status == 200
        assert len(program.events(type="unsubscribe")) == 2
        assert program.api("GET", f"/api/suppressions/{JANE}").status == 200


def test_forgetting_keeps_what_was_said(tmp_path: Path) -> None:
    """A consent that was withdrawn stays so, under the keyed hash."""
    with Program(tmp_path, PRIVACY) as program:
        program.api("PUT", f"/api/consents/{JANE}", {"consent": "denied"})
        assert program.api("DELETE", f"/api/recipients/{JANE}").json()["events"] == 0
        assert program.api("GET", f"/api/consents/{JANE}").json()["consent"] == "denied"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with settings that have a key."""
    (tmp_path / "heardback.toml").write_text(f'keys = ["{KEY}"]\n{PRIVACY}')
    return tmp_path


def test_the_command_beside_no_server(folder: Path) -> None:
    """On a store that nobody else has open it erases too; of a person it does not know, nothing."""

    async def work() -> None:
        store = await SQLiteStore.open(folder / "heardback.db")
        await store.append([native.record(Event("open", new_id(), 0, JANE, "<1@x>", user_agent=AGENT))])
        await store.close()

    asyncio.run(work())
    none = command(folder, "forget", "nobody@example.org").stdout
    assert none.startswith(b"erased: 0 events, 0 dead letters; made anew: 0 batches;")
    assert command(folder, "forget", JANE).stdout.startswith(b"erased: 1 events, ")
    assert in_files(folder / "heardback.db", JANE, AGENT) == []


def test_wrong_use(folder: Path) -> None:
    """Nobody named is 2; no database is 1, and leaves none behind; no key to hash with is 2."""
    assert command(folder, "forget").returncode == 2
    missing = command(folder, "forget", JANE)
    assert (missing.returncode, b"there is no database" in missing.stderr) == (1, True)
    (folder / "heardback.toml").write_text(f'keys = ["{KEY}"]\n')
    keyless = command(folder, "forget", JANE)
    assert (keyless.returncode, b"privacy.hash_key" in keyless.stderr) == (2, True)
    assert [path.name for path in folder.iterdir()] == ["heardback.toml"]


def test_a_store_that_cannot_be_written_is_a_failure(folder: Path) -> None:
    """Status 1 with the reason; nothing was erased, and the same command may be tried again."""

    async def work() -> None:
        store = await SQLiteStore.open(folder / "heardback.db")
        await store.append([native.record(Event("open", new_id(), 0, JANE, "<1@x>"))])
        await store.close()

    asyncio.run(work())
    other = sqlite3.connect(folder / "heardback.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    done = command(folder, "forget", JANE)
    other.execute("ROLLBACK")
    other.close()
    assert (done.returncode, done.stdout, b"locked" in done.stderr) == (1, b"", True)
    assert JANE.encode() not in done.stderr
    assert command(folder, "forget", JANE).returncode == 0
