"""Batches of several requests, as pure functions: each answer counts for its own event, whatever happens around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heardback.dispatcher.changes import after_each, asked
from heardback.dispatcher.portions import Portion, batch_of, names_of, portion, round_of
from heardback.events import Record
from heardback.formats.encoded import Encoded
from heardback.privacy import pseudonym
from heardback.stores import Batch, Cursor, Part, Stored, cursors
from heardback.webhook import Delivered, Gone, Outcome, Refused, Retry

NOW = 1_700_000_000.0
IDS = tuple(UUID(int=number) for number in range(1, 5))
PARTS = tuple(Part(number, {"X-Number": str(number)}) for number in range(4))
BATCH = Batch("msg_1", IDS, 17, b"abbccc", "application/json", passed_over=3, parts=PARTS)
FLYING = Cursor("main", 10, BATCH, 2, NOW - 60, NOW, "me", NOW + 5, delivered=100, passed_over=7, revision=3)
OUTCOMES: st.SearchStrategy[Outcome] = st.sampled_from(
    [Delivered("200"), Retry("503"), Retry("429", 9.0), Refused("400"), Gone("423")]
)


def records(*people: str) -> list[Record]:
    """Make a record for each of these people."""
    return [Record(UUID(int=number + 1), "click", person, "", "", b"{}") for number, person in enumerate(people)]


def encode(given: Sequence[Record]) -> Encoded:
    """Write the recipient, with a header."""
    [one] = given
    return Encoded(one.recipient.encode(), "text/plain", {"X-Id": str(one.event_id.int)})


class TestRequests:
    """What a batch is posted as."""

    def test_parts(self) -> None:
        """Each part has its slice of the body, its headers, and an id of its own."""
        made = cursors.requests(BATCH)
        assert [each.body for each in made] == [b"", b"a", b"bb", b"ccc"]
        assert [each.parts for each in made] == [(part,) for part in PARTS]
        assert [each.event_ids for each in made] == [(event_id,) for event_id in IDS]
        assert len({each.id for each in made}) == 4

    @pytest.mark.parametrize("parts", [(), (Part(6, {"X": "y"}),)])
    def test_one(self, parts: tuple[Part, ...]) -> None:
        """A batch without parts, or with one for all of its events, is one request: itself."""
        whole = replace(BATCH, parts=parts)
        assert cursors.requests(whole) == [whole]

    def test_a_round(self) -> None:
        """A round is made of one body an event; an empty one of nothing; headers of a batch make a part of all."""
        people = records("a@x", "bb@x")
        made = round_of(Portion(tuple(people), 9, 4), encode, NOW)
        assert (made.body, made.content_type, made.last, made.passed_over) == (b"a@xbb@x", "text/plain", 9, 4)
        assert made.parts == (Part(3, {"X-Id": "1"}), Part(4, {"X-Id": "2"}))
        assert round_of(Portion((), 9, 4), encode, NOW).event_ids == ()
        assert batch_of(Portion(tuple(people), 9, 4), Encoded(b"[]"), NOW).parts == ()
        assert batch_of(Portion(tuple(people), 9, 4), Encoded(b"[]", headers={"X": "y"}), NOW).parts == (
            Part(2, {"X": "y"}),
        )

    @pytest.mark.parametrize(
        ("people", "limit", "taken"),
        [
            (["a@x", "b@x", "c@x"], 2, 2),
            (["a@x", "b@x", "c@x"], 5, 3),
            (["a@x", "b@x", "a@x", "c@x"], 5, 2),
            (["a@x", "A@X"], 5, 1),
            (["", "", "a@x", ""], 5, 4),
            ([pseudonym("a@x", "k"), "b@x", "A@X"], 5, 2),
        ],
    )
    def test_apart(self, people: list[str], limit: int, taken: int) -> None:
        """A round ends before the second event of a person, by name or pseudonym; nobody's are nobody's second."""
        page = [Stored(number + 1, record) for number, record in enumerate(records(*people))]
        made = portion(page, lambda _: True, limit, apart=lambda each: names_of(each, "k"))
        assert (len(made.records), made.last, made.passed_over) == (taken, taken, 0)


class TestAfterEach:
    """What the answers of a round make of a cursor."""

    def test_all_delivered(self) -> None:
        """The cursor goes on behind the batch."""
        made = after_each(FLYING, [Delivered("200")] * 4, NOW, 30)
        assert (made.cursor.position, made.cursor.batch, made.cursor.delivered) == (17, None, 104)
        assert (made.cursor.passed_over, made.settled, made.dead) == (10, IDS, ())

    def test_mixed(self) -> None:
        """What was delivered and refused is out; the rest is pinned as it was, under another id, and due later."""
        made = after_each(FLYING, [Delivered("200"), Retry("503"), Refused("400"), Retry("500")], NOW, 30)
        cursor = made.cursor
        left = cursors.pinned_in(cursor)
        assert (left.event_ids, left.body, left.parts) == ((IDS[1], IDS[3]), b"accc", (PARTS[1], PARTS[3]))
        assert (left.last, left.passed_over, cursor.position) == (17, 3, 10)
        assert left.id != BATCH.id
        assert (cursor.attempts, cursor.due, cursor.last_answer, cursor.delivered) == (3, NOW + 30, "503", 101)
        assert [(dead.event_id, dead.answer) for dead in made.dead] == [(IDS[2], "400")]
        assert made.settled == IDS[:1]
        assert [each.id for each in cursors.requests(left)] == [cursors.requests(BATCH)[n].id for n in (1, 3)]

    def test_worn_out(self) -> None:
        """After 72 hours what is not delivered is a dead letter with its own answer."""
        old = replace(FLYING, first_attempt=NOW - 72 * 3_600)
        made = after_each(old, [Delivered("200"), Retry("503"), Refused("400"), Retry("500")], NOW, 30)
        assert (made.cursor.batch, made.cursor.position) == (None, 17)
        assert [dead.answer for dead in made.dead] == ["503", "400", "500"]

    def test_a_whole_batch(self) -> None:
        """One answer to several events is the answer to the batch."""
        whole = replace(FLYING, batch=replace(BATCH, parts=()))
        assert cursors.pinned_in(whole).parts == ()
        assert after_each(whole, [Refused("400")], NOW, 30).cursor.suspects == 4

    def test_asked(self) -> None:
        """The longest wish to be left alone counts."""
        assert asked([Delivered("200", 3.0), Retry("429", 9.0), Refused("400"), Gone("410")]) == 9.0
        assert asked([Delivered("200"), Retry("503")]) is None

    def test_rested(self) -> None:
        """A rest puts the next attempt off, never forward."""
        assert cursors.rested(FLYING, NOW + 5).due == NOW + 5
        assert cursors.rested(FLYING, NOW - 5).due == NOW

    @given(st.lists(st.lists(OUTCOMES, min_size=4, max_size=4), max_size=8))
    def test_nothing_is_lost(self, answers: list[list[Outcome]]) -> None:
        """Whatever is answered, each event is delivered or a dead letter once, and keeps its bytes and its id till then."""
        cursor = FLYING
        delivered: list[UUID] = []
        dead: list[UUID] = []
        first = {each.event_ids[0]: each for each in cursors.requests(BATCH)}
        last: list[Outcome] = [Delivered("200")] * 4
        for outcomes in [*answers, last]:
            if cursor.batch is None:
                break
            cursor = cursors.claimed(cursors.resumed(cursor, NOW), "me", NOW)
            flying = cursors.requests(cursors.pinned_in(cursor))
            for each in flying:
                known = first[each.event_ids[0]]
                assert (each.id, each.body, each.parts) == (known.id, known.body, known.parts)
            made = after_each(cursor, outcomes[: len(flying)], NOW, 30)
            cursor = made.cursor
            delivered += made.settled
            dead += [letter.event_id for letter in made.dead]
        assert sorted([*delivered, *dead]) == sorted(IDS)
        assert (cursor.position, cursor.batch, cursor.passed_over) == (17, None, 10)
        assert cursor.delivered == 100 + len(delivered)
