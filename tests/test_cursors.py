"""The transitions of a cursor: each alone, and all of them together in worlds that fail at random."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heardback.dispatcher.changes import after
from heardback.dispatcher.portions import batch_of, fitted, gathering, portion
from heardback.events import Record, new_id
from heardback.formats.encoded import Encoded
from heardback.stores import Batch, Cursor, Stored, cursors
from heardback.webhook import Delivered, Gone, Outcome, Refused, Retry

NOW = 1_700_000_000.0
HOUR = 3_600.0
IDS = tuple(UUID(int=number) for number in range(1, 6))
BATCH = Batch("msg_1", IDS, 17, b"[...]", passed_over=3)
FLYING = Cursor("main", 10, BATCH, 2, NOW - 60, NOW, "me", NOW + 5, delivered=100, passed_over=7, revision=3)
ALONE = replace(FLYING, batch=replace(BATCH, event_ids=IDS[:1]))
WORN_OUT = replace(FLYING, first_attempt=NOW - 72 * HOUR)


class TestLease:
    """Who may send."""

    @pytest.mark.parametrize(
        ("holder", "ends", "held"),
        [
            ("", 5.0, False),
            ("me", 5.0, False),
            ("you", 5.0, True),
            ("you", 0.0, True),
            ("you", -0.1, False),
            ("you", cursors.LEASE_S + 1, True),
            ("you", cursors.LEASE_S * 2 + 1, False),
            ("you", 1e9, False),
        ],
    )
    def test_held(self, holder: str, ends: float, held: bool) -> None:
        """Another's lease counts until it ends, but not one from a clock that was set back."""
        assert cursors.is_held(Cursor("main", 0, holder=holder, lease_until=NOW + ends), "me", NOW) is held

    def test_claimed(self) -> None:
        """A claim takes the lease and changes nothing that was pinned."""
        made = cursors.claimed(replace(FLYING, holder="you"), "me", NOW)
        assert (made.holder, made.lease_until, made.batch, made.attempts) == ("me", NOW + cursors.LEASE_S, BATCH, 2)
        assert cursors.renewed(made, NOW + 3).lease_until == NOW + 3 + cursors.LEASE_S

    @pytest.mark.parametrize(("late", "counted"), [(0.0, 60.0), (100 * HOUR, 60.0), (-30.0, 30.0), (-1e9, 0.0)])
    def test_idle_time_is_no_patience(self, late: float, counted: float) -> None:
        """The time in which nobody tried is not counted, however the clock was set."""
        now = FLYING.due + late
        made = cursors.claimed(FLYING, "me", now)
        assert now - made.first_attempt == counted
        assert made.due == now


class TestDelay:
    """When the next attempt is due."""

    @pytest.mark.parametrize(
        ("attempts", "seconds"), [(1, 5), (2, 30), (3, 120), (4, 600), (5, 1800), (6, 3600), (7, 3600), (99, 3600)]
    )
    def test_schedule(self, attempts: int, seconds: float) -> None:
        """The waits grow as the interface says, each 20 % shorter or longer by chance."""
        assert cursors.delay(attempts, 0.0) == pytest.approx(seconds * 0.8)
        assert cursors.delay(attempts, 0.5) == pytest.approx(seconds)
        assert cursors.delay(attempts, 0.9999) == pytest.approx(seconds * 1.2, rel=1e-3)

    @pytest.mark.parametrize(("asked", "seconds"), [(-5.0, 1.0), (0.0, 1.0), (17.0, 17.0), (1e9, 86_400.0)])
    def test_retry_after(self, asked: float, seconds: float) -> None:
        """What the receiver asks for is obeyed, between a second and a day."""
        assert cursors.delay(1, 0.3, asked) == seconds

    @pytest.mark.parametrize(
        ("due", "is_due"), [(-1.0, True), (0.0, True), (0.1, False), (86_400 * 1.2, False), (86_400 * 1.3, True)]
    )
    def test_due(self, due: float, is_due: bool) -> None:
        """Nothing is due before its time, but for one so far off that the clock must have been set back."""
        assert cursors.is_due(Cursor("main", 0, due=NOW + due), NOW) is is_due

    def test_worn_out(self) -> None:
        """A batch is tried for 72 hours."""
        assert not cursors.is_worn_out(replace(FLYING, due=FLYING.first_attempt + 72 * HOUR - 1))
        assert cursors.is_worn_out(replace(FLYING, due=FLYING.first_attempt + 72 * HOUR))

    @pytest.mark.parametrize("jump", [-400 * 24 * HOUR, 0, 400 * 24 * HOUR])
    def test_a_clock_that_is_set_meanwhile(self, jump: float) -> None:
        """Only waiting counts as patience: an attempt that seems to take years, or less than nothing, does not."""
        made = cursors.postponed(FLYING, "503", 30, NOW + jump)
        assert made.due - made.first_attempt == FLYING.due - FLYING.first_attempt + 30

    def test_a_clock_that_is_set_back(self) -> None:
        """Nobody waits for a time that was reckoned by a clock since set back, but for what clocks differ by anyway."""
        waiting = cursors.postponed(FLYING, "503", 30, NOW)
        assert not cursors.is_due(waiting, NOW - 2 * cursors.LEASE_S)
        assert cursors.is_due(waiting, NOW - 2 * cursors.LEASE_S - 1)


class TestTransitions:
    """Each on its own."""

    def test_pinned(self) -> None:
        """A batch is pinned with the lease, its attempts at zero."""
        made = cursors.pinned(Cursor("main", 10, passed_over=1), BATCH, "me", NOW)
        assert made == Cursor("main", 10, BATCH, 0, NOW, NOW, "me", NOW + cursors.LEASE_S, passed_over=1)

    def test_settled(self) -> None:
        """A delivered batch moves the cursor behind it and frees the lease."""
        made = cursors.settled(FLYING, "200", NOW)
        assert made == Cursor(
            "main", 17, delivered=105, passed_over=10, last_answer="200", last_answer_at=NOW, revision=3
        )

    def test_postponed(self) -> None:
        """A failed batch stays pinned until it is due."""
        made = cursors.postponed(FLYING, "503", 30, NOW)
        assert (made.batch, made.position, made.attempts, made.due) == (BATCH, 10, 3, NOW + 30)
        assert (made.holder, made.first_attempt, made.last_answer) == ("", FLYING.first_attempt, "503")

    def test_halved(self) -> None:
        """A refused batch is let go of where the cursor stands; the next one has half of its events."""
        made = cursors.halved(FLYING, "413", NOW)
        assert (made.batch, made.position, made.attempts, made.passed_over) == (None, 10, 0, 7)
        assert (made.suspects, made.ceiling, made.holder, made.last_answer) == (5, 3, "", "413")
        assert cursors.largest_batch(made, 500) == 3
        again = cursors.halved(replace(FLYING, ceiling=250, suspects=500), "400", NOW)
        assert (again.suspects, again.ceiling) == (5, 250)

    @pytest.mark.parametrize(
        ("suspects", "ceiling", "max_batch", "largest"),
        [(0, 10_000, 500, 500), (0, 40, 500, 40), (9, 40, 500, 5), (1, 40, 500, 1), (90, 40, 10, 10)],
    )
    def test_largest_batch(self, suspects: int, ceiling: int, max_batch: int, largest: int) -> None:
        """The next batch keeps to the settings, to what was refused, and to half of the suspects."""
        assert cursors.largest_batch(Cursor("main", 0, suspects=suspects, ceiling=ceiling), max_batch) == largest

    def test_what_is_delivered_raises_the_ceiling(self) -> None:
        """Outside a search the bound grows, up to the largest there is; in a search it is the suspects that are fewer."""
        grown = [cursors.settled(replace(FLYING, ceiling=ceiling), "200", NOW).ceiling for ceiling in (1, 80, 10_000)]
        assert grown == [2, 91, 10_000]
        searching = cursors.settled(replace(FLYING, ceiling=8, suspects=7), "200", NOW)
        assert (searching.ceiling, searching.suspects) == (8, 2)

    @pytest.mark.parametrize("position", [3, 10, 30])
    def test_replayed(self, position: int) -> None:
        """The cursor stands elsewhere with nothing in flight; who has a POST out keeps the lease until that ends."""
        made = cursors.replayed(replace(FLYING, suspects=9, paused=True), position)
        assert (made.position, made.batch, made.attempts, made.due, made.suspects) == (position, None, 0, 0.0, 0)
        assert (made.holder, made.lease_until, made.paused) == ("me", FLYING.lease_until, True)
        assert (made.delivered, made.passed_over) == (100, 7)

    def test_buried(self) -> None:
        """The events of a batch that is given up are dead letters, and the cursor goes on."""
        made, dead = cursors.buried(FLYING, "422", NOW)
        assert (made.position, made.batch, made.delivered, made.holder) == (17, None, 100, "")
        assert (made.passed_over, made.suspects) == (10, 0)
        assert [letter.event_id for letter in dead] == list(IDS)
        assert {(letter.destination, letter.answer, letter.at) for letter in dead} == {("main", "422", NOW)}

    def test_gone_and_resumed(self) -> None:
        """A destination that is gone keeps its batch, and when resumed tries it at once."""
        made = cursors.gone(FLYING, "410", NOW)
        assert (made.paused, made.batch, made.holder, made.last_answer) == (True, BATCH, "", "410")
        again = cursors.resumed(replace(made, due=NOW + 50), NOW + 9)
        assert (again.paused, again.batch, again.due) == (False, BATCH, NOW + 9)

    def test_paused_in_flight(self) -> None:
        """A pause by a person lets what is in flight end, and outlasts its end."""
        made = cursors.settled(cursors.paused(FLYING), "200", NOW)
        assert (made.paused, made.position) == (True, 17)

    @pytest.mark.parametrize("change", [cursors.settled, cursors.buried])
    def test_nothing_in_flight(self, change: object) -> None:
        """There is no end of a batch that is not there."""
        assert callable(change)
        with pytest.raises(ValueError, match="no batch in flight"):
            change(Cursor("main", 0), "200", NOW)

    @pytest.mark.parametrize(
        ("outcome", "flying", "made", "dead", "settled"),
        [
            (Delivered("200"), FLYING, cursors.settled(FLYING, "200", NOW), 0, 5),
            (Gone("410"), FLYING, cursors.gone(FLYING, "410", NOW), 0, 0),
            (Retry("503"), FLYING, cursors.postponed(FLYING, "503", 30, NOW), 0, 0),
            (Refused("400"), FLYING, cursors.halved(FLYING, "400", NOW), 0, 0),
            (Refused("400"), ALONE, cursors.buried(ALONE, "400", NOW)[0], 1, 0),
            (Retry("503"), WORN_OUT, cursors.buried(WORN_OUT, "503", NOW)[0], 5, 0),
        ],
    )
    def test_after(self, outcome: Outcome, flying: Cursor, made: Cursor, dead: int, settled: int) -> None:
        """Each answer leads to its transition."""
        found = after(flying, outcome, NOW, 30)
        assert (found.cursor, len(found.dead), len(found.settled)) == (made, dead, settled)


def log_of(wanted: Iterable[bool], step: int = 3) -> list[Stored]:
    """Make a log of clicks, which are wanted, and opens, which are not; positions have holes."""
    return [
        Stored(step * (number + 1), Record(UUID(int=number + 1), "click" if is_click else "open", "", "", "", b"x"))
        for number, is_click in enumerate(wanted)
    ]


def is_click(record: Record) -> bool:
    """Say whether a record is wanted."""
    return record.type == "click"


def encode(records: Iterable[Record]) -> Encoded:
    """Write the ids of records, two bytes each."""
    return Encoded(b"".join(record.event_id.int.to_bytes(2, "big") for record in records))


class TestPortions:
    """What goes into a POST."""

    @given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(0, 30))
    def test_portion(self, wanted: list[bool], limit: int) -> None:
        """A portion is the first of what is wanted; what it says was passed over is all else up to its end."""
        page = log_of(wanted)
        if limit == 0 and any(wanted):
            limit = 1
        made = portion(page, is_click, limit)
        clicks = [stored.record for stored in page if is_click(stored.record)]
        assert list(made.records) == clicks[:limit]
        assert len(made.records) + made.passed_over == len([stored for stored in page if stored.position <= made.last])
        assert (made.last == page[-1].position) or len(made.records) == limit

    @given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(1, 30), st.integers(0, 70))
    def test_fitted(self, wanted: list[bool], limit: int, max_bytes: int) -> None:
        """A body keeps to its bounds, but for one event alone, which goes whatever its size."""
        taken, encoded = fitted(log_of(wanted), is_click, limit, encode, max_bytes)
        assert encoded == encode(taken.records)
        assert len(encoded.body) <= max_bytes or len(taken.records) == 1
        assert len(taken.records) <= limit
        assert bool(taken.records) is any(wanted)

    @pytest.mark.parametrize(
        ("age", "left"), [(0.0, 5.0), (2.0, 3.0), (5.0, 0.0), (99.0, 0.0), (-1.0, 0.0), (-1e6, 0.0)]
    )
    def test_gathering(self, age: float, left: float) -> None:
        """A page waits for its oldest event's time, and for none from the future."""
        page = [Stored(1, Record(new_id(NOW - age), "open", "", "", "", b""))]
        assert gathering(page, 5.0, NOW) == pytest.approx(left)


def sizes(total: int, refuses: Callable[[Sequence[int]], bool]) -> list[int]:
    """Take events 1 to `total` to a destination in batches of at most 500; give the size of each POST's."""
    cursor, made = Cursor("main", 0), []
    while cursor.position < total:
        first = cursor.position + 1
        numbers = range(first, min(first + cursors.largest_batch(cursor, 500), total + 1))
        batch = Batch("msg", tuple(UUID(int=number) for number in numbers), numbers[-1], b"")
        outcome: Outcome = Refused("400") if refuses(numbers) else Delivered("200")
        cursor = after(cursors.pinned(cursor, batch, "me", NOW), outcome, NOW, 30).cursor
        made.append(len(numbers))
    return made


class TestRefusals:
    """What a destination that refuses costs in POSTs."""

    @given(st.integers(1, 500))
    def test_one_poison_event(self, poison: int) -> None:
        """Among 500 events it is found by halving, once for each bit of 500 and a bit; then it goes on in large batches."""
        made = sizes(1_000, lambda numbers: poison in numbers)
        assert made[0] == 500
        assert len(made) <= 10 + 5
        assert max(made[10:]) >= 250

    @pytest.mark.parametrize(("limit", "posts"), [(1, 750), (2, 450), (100, 40), (499, 20)])
    def test_a_receiver_with_a_limit(self, limit: int, posts: int) -> None:
        """One that takes small batches alone is soon asked for no more than a little above its limit, and that seldom."""
        made = sizes(500, lambda numbers: len(numbers) > limit)
        assert len(made) <= posts
        assert all(size <= limit + limit // 8 + 1 for size in made[60:])

    def test_nothing_is_taken(self) -> None:
        """One that refuses everything is not asked over and over: little more than once an event."""
        assert len(sizes(500, lambda _: True)) < 500 + 60


MOVES = st.sampled_from(["answer", "answer", "retry", "gone", "crash", "late", "back", "forward"])


@given(
    st.lists(st.booleans(), max_size=40),
    st.sets(st.integers(1, 40), max_size=6),
    st.lists(MOVES, max_size=60),
    st.integers(1, 12),
    st.integers(2, 24),
)
def test_nothing_is_lost(
    wanted: list[bool], poison: set[int], moves: list[str], max_batch: int, max_bytes: int
) -> None:
    """Whatever a destination and its holders do, each event is delivered, passed over or a dead letter, once."""
    log, now, cursor = log_of(wanted), NOW, Cursor("main", 0)
    delivered: list[UUID] = []
    dead: list[UUID] = []
    bodies: dict[str, bytes] = {}
    end = log[-1].position if log else 0
    script = iter(moves)
    while cursor.position < end:
        before, move = cursor, next(script, "answer")
        now += {"back": -1e6, "forward": 1e6, "late": 100 * HOUR}.get(move, 60.0)
        cursor = cursors.resumed(cursor, now) if cursor.paused else cursor
        if not cursors.is_due(cursor, now):
            now = cursor.due
        if cursor.batch:
            cursor = cursors.claimed(cursor, move, now)
        else:
            page = [stored for stored in log if stored.position > cursor.position][:max_batch]
            taken, encoded = fitted(page, is_click, cursors.largest_batch(cursor, max_batch), encode, max_bytes)
            if not taken.records:
                cursor = cursors.passed(cursor, taken.last, taken.passed_over)
                continue
            cursor = cursors.pinned(cursor, batch_of(taken, encoded, now), move, now)
        flying = cursors.pinned_in(cursor)
        assert bodies.setdefault(flying.id, flying.body) == flying.body
        if move == "crash":
            continue
        bad = poison & {event_id.int for event_id in flying.event_ids}
        failures: dict[str, Outcome] = {"retry": Retry("503"), "gone": Gone("410")}
        outcome = failures.get(move, Refused("400") if bad else Delivered("200"))
        made = after(cursor, outcome, now, 30)
        cursor = made.cursor
        dead += [letter.event_id for letter in made.dead]
        delivered += flying.event_ids if isinstance(outcome, Delivered) else ()
        assert cursor.position >= before.position

    clicks = [stored.record.event_id for stored in log if is_click(stored.record)]
    assert dead == [event_id for event_id in clicks if event_id.int in poison]
    assert delivered == [event_id for event_id in clicks if event_id.int not in poison]
    assert cursor.delivered == len(delivered)
    assert cursor.passed_over == len(log) - len(clicks)
