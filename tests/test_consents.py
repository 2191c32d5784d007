"""Consents: what a node knows of people, and what its hits then hold. Real stores, real processes, real HTTP."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest

from heardback import consents, following
from heardback.consents import Consents, nameless, remains
from heardback.events import Event, EventType, new_id
from heardback.formats import native
from heardback.privacy import pseudonym
from heardback.stores import Person, Store, Suppression
from heardback.stores.sqlite import SQLiteStore
from heardback.tokens import Keyring, Token
from heardback.tracker import Tracker
from tests.program import KEY, Answer, Program, wait_until
from tests.receiver import Receiver
from tests.traces import at_receiver, in_files, in_log

KEY_OF_HASHES = "the key of pseudonyms"
JANE, JOE = "jane@example.org", "joe@example.org"
NOON = 1_790_000_000
AGENT = "Mozilla/5.0 (Marked) Reader/7.3"
PRIVACY = f'[privacy]\nhash_key = "{KEY_OF_HASHES}"\n'
RING = Keyring([KEY])


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SQLiteStore]:
    """Open a store for a test."""
    store = await SQLiteStore.open(path / "heardback.db")
    try:
        yield store
    finally:
        await store.close()


def on_store(path: Path, story: Callable[[SQLiteStore], Awaitable[None]]) -> None:
    """Run what a test does with a store."""

    async def go() -> None:
        async with opened(path) as store:
            await story(store)

    asyncio.run(go())


def test_nobody_is_named_before_consents_are_known(tmp_path: Path) -> None:
    """Until they were read once, every hit is anonymous; then only those who said so."""

    async def story(store: SQLiteStore) -> None:
        knows = Consents(store, KEY_OF_HASHES)
        assert knows.forbids(JANE, NOON) and knows.forbids("", NOON)
        await knows.changes.catch_up()
        assert not knows.forbids(JANE, NOON) and not knows.forbids("", NOON)

    on_store(tmp_path, story)


def test_a_consent_holds_here_at_once(tmp_path: Path) -> None:
    """Denied, granted and unknown, in any case of the address' letters, by address and by keyed hash."""

    async def story(store: SQLiteStore) -> None:
        knows = Consents(store, KEY_OF_HASHES, clock=lambda: NOON + 0.5)
        await knows.changes.catch_up()
        assert (await knows.of(JANE)).consent == "unknown"
        denied = await knows.set("Jane@Example.ORG", "denied", "by phone")
        assert (denied.consent, denied.at, denied.how) == ("denied", NOON + 0.5, "by phone")
        assert await knows.of(JANE) == denied
        assert knows.forbids(JANE, NOON) and knows.forbids(pseudonym(JANE, KEY_OF_HASHES), NOON + 1)
        assert not knows.forbids(JOE, NOON)
        await knows.set(JANE, "granted", "")
        assert not knows.forbids(JANE, NOON)

    on_store(tmp_path, story)


@dataclass
class Slow:
    """A store whose first pages of people were on their way for a while."""

    store: SQLiteStore
    pages: list[list[Person]]

    def __getattr__(self, name: str) -> Any:
        """Be the store otherwise."""
        return getattr(self.store, name)

    async def people(self, after: int, limit: int) -> list[Person]:
        """Give what was read before, then what there is."""
        return self.pages.pop() if self.pages else await self.store.people(after, limit)


def test_what_was_read_earlier_does_not_undo_what_was_said(tmp_path: Path) -> None:
    """A page of people that was on its way while a consent was set here changes nothing about it."""

    async def story(store: SQLiteStore) -> None:
        other = Consents(store, KEY_OF_HASHES)
        await other.set(JANE, "granted", "")
        knows = Consents(cast("Store", Slow(store, [await store.people(0, 10)])), KEY_OF_HASHES)
        await knows.set(JANE, "denied", "")
        await knows.changes.catch_up()
        assert knows.forbids(JANE, NOON)
        await other.set(JANE, "granted", "")
        await knows.changes.catch_up()
        assert not knows.forbids(JANE, NOON)

    on_store(tmp_path, story)


@dataclass
class Late:
    """A store whose answers to what is said take so long that something else happens before they come."""

    store: SQLiteStore
    meanwhile: Callable[[], Awaitable[object]]

    def __getattr__(self, name: str) -> Any:
        """Be the store otherwise."""
        return getattr(self.store, name)

    async def consent(self, said: Person) -> Person:
        """Keep it, and answer later."""
        kept = await self.store.consent(said)
        await self.meanwhile()
        return kept


def test_what_was_said_does_not_undo_what_was_read_since(tmp_path: Path) -> None:
    """Where another node was told something newer, and that is known here, one's own late answer changes nothing."""

    async def story(store: SQLiteStore) -> None:
        async def meanwhile() -> None:
            await Consents(store, KEY_OF_HASHES).set(JANE, "denied", "")
            await knows.changes.catch_up()

        knows = Consents(cast("Store", Late(store, meanwhile)), KEY_OF_HASHES)
        await knows.set(JANE, "granted", "")
        assert knows.forbids(JANE, NOON)
        await knows.changes.catch_up()
        assert knows.forbids(JANE, NOON)

    on_store(tmp_path, story)


def test_other_nodes_are_heard(tmp_path: Path) -> None:
    """What is said on one node another knows a moment later, and goes on knowing after trouble."""

    async def story(store: SQLiteStore) -> None:
        here, there = Consents(store, KEY_OF_HASHES), Consents(store, KEY_OF_HASHES)
        running = asyncio.create_task(following.follow([there.changes]))
        await here.set(JANE, "denied", "")
        async with asyncio.timeout(1 + following.EVERY_S):
            while not there.forbids(JANE, NOON) or there.forbids(JOE, NOON):
                await asyncio.sleep(0.01)
        running.cancel()

    on_store(tmp_path, story)


def test_a_store_that_is_away_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Consents that cannot be read stop nothing; what was known stays known."""

    async def go() -> None:
        async with opened(tmp_path) as store:
            knows = Consents(store, KEY_OF_HASHES)
            await knows.set(JANE, "denied", "")
            await knows.changes.catch_up()
        await knows.changes.look()
        await knows.changes.look()
        assert knows.forbids(JANE, NOON) and not knows.forbids(JOE, NOON)

    asyncio.run(go())
    assert [record.message for record in caplog.records] == ["consents cannot be read for now: The store is closed."]


def test_letters_sent_before_do_not_name_the_forgotten_again(tmp_path: Path) -> None:
    """Those sent later do; where nobody knows when one was sent, it was before; the keyed hashes are passed on."""

    async def story(store: SQLiteStore) -> None:
        told: list[set[str]] = []
        knows = Consents(store, KEY_OF_HASHES, forgotten=lambda people: told.append(set(people)))
        for recipient in (JANE, JOE):
            await consents.forget(store, recipient, KEY_OF_HASHES, clock=lambda: NOON + 0.5, known_within_s=0)
        await knows.changes.catch_up()
        assert told == [{pseudonym(JANE, KEY_OF_HASHES), pseudonym(JOE, KEY_OF_HASHES)}]
        assert knows.forbids(JANE, 0) and knows.forbids(JANE, NOON)
        assert not knows.forbids(JANE, NOON + 1)
        assert not knows.forbids("jim@example.org", -9)
        await knows.changes.catch_up()
        assert len(told) == 1

    on_store(tmp_path, story)


def test_somebody_is_erased_again_once_appends_have_ended(tmp_path: Path) -> None:
    """What another node was appending when it heard of them is there, if at all, before the second time."""
    times: list[float] = []

    def clock() -> float:
        times.append(time.monotonic())
        return NOON

    async def go() -> None:
        store = await SQLiteStore.open(tmp_path / "slow.db", busy_s=0.5)
        await consents.forget(store, JANE, KEY_OF_HASHES, clock=clock)
        await store.close()

    asyncio.run(go())
    first, second = times
    assert second - first >= following.EVERY_S + 0.5


def test_a_suppression_is_found_under_both_names(tmp_path: Path) -> None:
    """By address, and by keyed hash once its recipient was forgotten; a release takes out both."""

    async def story(store: SQLiteStore) -> None:
        knows = Consents(store, KEY_OF_HASHES)
        await store.suppress(Suppression(JANE, "news", 5, "<1@x>"))
        await consents.forget(store, JANE, KEY_OF_HASHES, known_within_s=0)
        hidden = Suppression(pseudonym(JANE, KEY_OF_HASHES), "news", 5)
        assert await knows.suppressed(JANE.upper(), "news") == hidden
        assert await knows.suppressed(JANE, "") is None
        await store.suppress(Suppression(JANE, "news", 7))
        assert await knows.suppressed(JANE, "news") == Suppression(JANE, "news", 7)
        assert await knows.release(JANE, "news")
        assert await store.suppressions() == []
        assert not await knows.release(JANE, "news")

    on_store(tmp_path, story)


def event_of(recipient: str, kind: EventType = "open", **more: Any) -> Event:
    """Make an event that has everything."""
    return Event(
        kind,
        new_id(),
        1,
        recipient,
        "<1@x>",
        "192.0.2.7",
        AGENT,
        additional={"name": "Jane"},
        list="news",
        **more,
    )


def test_what_remains_of_a_record() -> None:
    """Of the forgotten nothing, in any case and under the hash; an unsubscribe without a name; of others all."""
    person = pseudonym(JANE, KEY_OF_HASHES)
    for recipient in (JANE, "JANE@example.org", person):
        assert remains(native.record(event_of(recipient)), {person}, KEY_OF_HASHES) is None
    for other in (JOE, ""):
        record = native.record(event_of(other))
        assert remains(record, {person}, KEY_OF_HASHES) is record
    record = native.record(event_of(JANE, "unsubscribe"), b'{"agent":"browser"}')
    left = remains(record, {person}, KEY_OF_HASHES)
    assert left == nameless(record, person)
    assert left is not None and (left.recipient, left.list, left.event_id) == (person, "news", record.event_id)
    said = json.loads(left.body)
    assert list(said) == list(json.loads(record.body))
    assert (said["recipient"], said["additional"], said["mode"]) == (person, {}, "pseudonymous")
    assert not any(word in repr(left) for word in (JANE, AGENT, "192.0.2.7", "<1@x>", "Jane"))


# The whole server


def served(folder: Path, settings: str, story: Callable[[Program, Receiver], Awaitable[None]], top: str = "") -> None:
    """Run a server that delivers to a receiver."""

    async def go() -> None:
        async with Receiver() as receiver:
            destination = (
                f'[[destinations]]\nname = "main"\nurl = "{receiver.url}"\nallow_private = true\nmax_wait_s = 0\n'
            )
            with Program(folder, f"{settings}{PRIVACY}{destination}", top=top) as program:
                await story(program, receiver)

    asyncio.run(go())


def sealed(kind: Any, message_id: str, **said: Any) -> str:
    """Seal a token of a letter that was sent to Jane long ago."""
    ordinary: dict[str, Any] = {
        "recipient": JANE,
        "message_id": message_id,
        "sent_at": NOON - 9,
        "additional": {"name": "Jane D."},
    }
    url = {"url": "https://example.com/"} if kind == "click" else {}
    return RING.seal(Token(kind, **(ordinary | url | said)))


HEADERS = {"User-Agent": AGENT, "X-Forwarded-For": "198.51.100.77"}


def hit_all(program: Program, message_id: str, headers: dict[str, str]) -> list[int]:
    """Open a letter, click it, click its mailto link, tell of a visit, unsubscribe."""
    mailto = sealed("click", message_id, url="mailto:shop@example.com")
    asked = [
        program.ask("GET", f"/o/{sealed('open', message_id)}", headers=headers),
        program.ask("GET", f"/c/{sealed('click', message_id)}", headers=headers),
        program.ask("GET", f"/c/{mailto}", headers=headers),
        program.ask("POST", f"/e/{sealed('site', message_id)}", b'{"name": "visit"}', headers),
        program.ask("POST", f"/u/{sealed('unsubscribe', message_id)}", b"", headers),
    ]
    return [answer.status for answer in asked]


def test_a_withdrawn_consent_leaves_no_trace(tmp_path: Path) -> None:
    """After it, hits of a letter sent before put no recipient, address or agent into files, batches or log."""

    async def story(program: Program, receiver: Receiver) -> None:
        denied = await asyncio.to_thread(program.api, "PUT", f"/api/consents/{JANE}", {"consent": "denied"})
        assert denied.status == 200
        asked = await asyncio.to_thread(hit_all, program, "<after@x>", HEADERS)
        assert asked == [200, 302, 200, 200, 200]
        await receiver.until(lambda: sum(len(got.events) for got in receiver.got) >= 5)
        events = await asyncio.to_thread(program.events, message_id="<after@x>")
        unsubscribe, *others = events
        assert (unsubscribe["type"], unsubscribe["recipient"]) == ("unsubscribe", JANE)
        assert (unsubscribe["ip"], unsubscribe["user_agent"], unsubscribe["mode"]) == ("", "", "identified")
        assert [event["type"] for event in others] == ["site", "site", "click", "open"]
        for event in others:
            assert (event["recipient"], event["ip"], event["user_agent"]) == ("", "", "")
            assert (event["mode"], event["additional"]) == ("anonymous", {})
        words = (AGENT, "198.51.100.77")
        assert (in_files(program.database, *words), at_receiver(receiver, *words), in_log(program, *words)) == (
            [],
            [],
            [],
        )

    served(tmp_path, "", story)


def test_without_an_unsubscribe_not_even_the_recipient_is_there(tmp_path: Path) -> None:
    """The same grep, for the recipient and what the letter says of them too; before the consent it finds them."""

    async def story(program: Program, receiver: Receiver) -> None:
        url = f"/o/{sealed('open', '<2@x>')}"
        await asyncio.to_thread(program.ask, "POST", f"/p/{sealed('preferences', '<2@x>')}", b"tracking=denied", FORM)
        await asyncio.to_thread(program.ask, "GET", url, None, HEADERS)
        await receiver.until(lambda: len(receiver.ids) == 1)
        words = (JANE, "Jane D.", AGENT, "198.51.100.77")
        assert (in_files(program.database, *words), at_receiver(receiver, *words), in_log(program, *words)) == (
            [],
            [],
            [],
        )
        await asyncio.to_thread(program.ask, "POST", f"/p/{sealed('preferences', '<2@x>')}", b"tracking=granted", FORM)
        await asyncio.to_thread(program.ask, "GET", url, None, HEADERS)
        await receiver.until(lambda: len(receiver.ids) == 2)
        assert {word for _, word in in_files(program.database, *words)} == set(words)
        assert at_receiver(receiver, *words) == list(words)
        assert in_log(program, *words) == []

    served(tmp_path, "", story)


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_the_other_worker_hears_within_a_second(tmp_path: Path) -> None:
    """A consent said to one of two workers: a second later no hit on either names the person."""
    with Program(tmp_path, f"workers = 2\n{PRIVACY}") as program:
        for number in range(5):
            assert program.api("PUT", f"/api/consents/{JANE}", {"consent": "granted"}).status == 200
            assert program.api("PUT", f"/api/consents/{JANE}", {"consent": "denied"}).status == 200
            wait_a_second()
            for _ in range(8):  # each over a connection of its own: the system picks the worker
                program.ask("GET", f"/o/{sealed('open', f'<{number}@x>')}")
        wait_until(lambda: program.count() == 40, "forty events")
        assert {event["recipient"] for event in program.events()} == {""}


def wait_a_second() -> None:
    """Let the second pass that the interface grants."""
    asyncio.run(asyncio.sleep(1.0))


def test_global_privacy_control(tmp_path: Path) -> None:
    """`Sec-GPC: 1` makes this hit anonymous and no other; an unsubscribe names its recipient all the same."""
    with Program(tmp_path) as program:
        assert hit_all(program, "<gpc@x>", {**HEADERS, "Sec-GPC": "1"}) == [200, 302, 200, 200, 200]
        events = program.events(message_id="<gpc@x>")
        assert [event["recipient"] for event in events] == [JANE, "", "", "", ""]
        assert {event["ip"] + event["user_agent"] for event in events} == {""}
        assert hit_all(program, "<no@x>", {**HEADERS, "Sec-GPC": "0"}) == [200, 302, 200, 200, 200]
        assert {event["recipient"] for event in program.events(message_id="<no@x>")} == {JANE}


def test_global_privacy_control_may_be_passed_over(tmp_path: Path) -> None:
    """With `honor_gpc = false` the header says nothing."""
    with Program(tmp_path, "[privacy]\nhonor_gpc = false\n") as program:
        program.ask("GET", f"/o/{sealed('open', '<1@x>')}", headers={**HEADERS, "Sec-GPC": "1"})
        assert [event["recipient"] for event in program.events()] == [JANE]
        page = program.ask("GET", f"/p/{sealed('preferences', '<1@x>')}", headers={"Sec-GPC": "1"})
        assert b"Global Privacy Control" not in page.body


@pytest.mark.parametrize(("policy", "shown"), [("truncated", "198.51.100.0"), ("none", "")])
def test_an_address_is_shortened_before_it_is_written(tmp_path: Path, policy: str, shown: str) -> None:
    """Neither the files nor the log ever hold the whole of it, not even for an unsubscribe."""
    with Program(tmp_path, f'[privacy]\nip = "{policy}"\n') as program:
        assert hit_all(program, "<ip@x>", HEADERS) == [200, 302, 200, 200, 200]
        assert {event["ip"] for event in program.events(message_id="<ip@x>")} == {shown}
        assert (in_files(program.database, "198.51.100.77"), in_log(program, "198.51.100.77")) == ([], [])


def test_a_site_event_follows_its_persons_consent(tmp_path: Path) -> None:
    """Also where the click was named, in full or by its pseudonym, and where a server tells of it."""
    with Program(tmp_path, '[tracking]\nclick_id_hosts = ["example.com"]\n' + PRIVACY) as program:
        clicks = [
            program.ask("GET", f"/c/{sealed('click', '<1@x>', mode=mode)}", headers=HEADERS).header("location")
            for mode in ("full", "pseudonymous")
        ]
        named = program.events(type="click")
        program.api("PUT", f"/api/consents/{JANE}", {"consent": "denied"})
        for location in clicks:
            token = location.partition("hb=")[2]
            assert program.ask("POST", f"/e/{token}", b'{"name": "bought"}', HEADERS).status == 200
        told: list[dict[str, Any]] = [{"name": "bought", "event_id": each["event_id"]} for each in named]
        told += [{"name": "bought", "recipient": JANE}, {"name": "bought", "token": sealed("site", "<1@x>")}]
        assert program.api("POST", "/api/events", told).status == 200
        events = program.events(type="site")
        assert len(events) == 6
        assert {(event["recipient"], event["mode"], event["ip"]) for event in events} == {("", "anonymous", "")}
        assert all(each["recipient"] for each in named)


def test_anonymous_letters_are_alike(tmp_path: Path) -> None:
    """Pixel and links are the same for every recipient; unsubscribe and preferences are each one's own."""
    tracker = Tracker("https://t.example.com", [KEY], mode="anonymous")
    html = (
        '<a href="https://example.com/">x</a><a href="heardback:preferences">y</a><a href="heardback:unsubscribe">z</a>'
    )
    pages = [tracker.rewrite_html(html, each, message_id="<1@x>", sent_at=NOON).html for each in (JANE, JOE)]
    urls = [{part for part in page.split('"') if part.startswith("https://t.example.com/")} for page in pages]
    alike, own = urls[0] & urls[1], urls[0] ^ urls[1]
    assert sorted(url.split("/")[3] for url in alike) == ["c", "o"]
    assert sorted(url.split("/")[3] for url in own) == ["p", "p", "u", "u"]


# The API


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run one server for what the API is asked."""
    with Program(tmp_path_factory.mktemp("consents"), PRIVACY) as running:
        yield running


def test_consents_by_the_api(program: Program) -> None:
    """Unknown at first; what is put is given back with when and how; the address stands nowhere in the file."""
    address = f"/api/consents/{quote('m/d ü@example.org', safe='')}"
    assert program.api("GET", address).json() == {"consent": "unknown", "how": "", "at": None}
    put = program.api("PUT", address, {"consent": "denied", "how": "wrote to us"})
    assert put.status == 200
    assert (put.json()["consent"], put.json()["how"], put.json()["at"][-1]) == ("denied", "wrote to us", "Z")
    assert program.api("GET", address.upper().replace("/API/CONSENTS", "/api/consents")).json() == put.json()
    assert program.api("PUT", address, {"consent": "granted"}).json()["how"] == "API"
    assert in_files(program.database, "m/d", "ü@example.org") == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/api/consents/nobody", {"consent": "denied"}, 400),
        ("GET", "/api/consents/nobody", None, 400),
        ("PUT", "/api/consents/a@x", {"consent": "perhaps"}, 400),
        ("PUT", "/api/consents/a@x", {"how": "x"}, 400),
        ("PUT", "/api/consents/a@x", {"consent": "denied", "when": 1}, 400),
        ("PUT", "/api/consents/a@x", {"consent": "denied", "how": "x" * 201}, 400),
        ("PUT", "/api/consents/a@x", b"{", 400),
        ("DELETE", "/api/recipients/nobody", None, 400),
        ("DELETE", "/api/consents/a@x", None, 405),
        ("GET", "/api/recipients/a@x", None, 405),
    ],
)
def test_what_cannot_be_done_is_a_problem(program: Program, method: str, path: str, body: object, status: int) -> None:
    """Each is said as problem details, and nothing is changed."""
    answer: Answer = program.api(method, path, body)
    assert (answer.status, answer.header("content-type")) == (status, "application/problem+json"), answer.body
    assert program.api("GET", "/api/consents/a@x").json()["at"] is None


@pytest.mark.parametrize(("method", "path"), [("GET", "consents"), ("PUT", "consents"), ("DELETE", "recipients")])
def test_nobody_comes_in_without_the_token(program: Program, method: str, path: str) -> None:
    """401 as problem details."""
    assert program.ask(method, f"/api/{path}/a@x", b"{}").status == 401
