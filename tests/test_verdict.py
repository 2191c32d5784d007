"""Who made an event, and why it is thought so."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heardback.events import CLASSES
from heardback.verdict import BY_AGENT, DELIVERY_S, WALK, WALK_MS, WINDOW_S, Seen, Verdict, judge

CHROME = {"method": "GET", "agent": "browser", "browser": "chrome windows", "accept": "html"}
IPHONE = {**CHROME, "browser": "safari iphone"}
PROXY = {"method": "GET", "agent": "mail proxy", "accept": "image"}
HOUR = 3_600_000
HUMAN = Verdict("human")


def click(at: int, link: int = 1, **signals: Any) -> Seen:
    """Give a click of somebody with Chrome, so many milliseconds after some moment."""
    return Seen(HOUR + at, "click", {**CHROME, **signals}, link)


def opened(at: int, **signals: Any) -> Seen:
    """Give an open of the same."""
    return Seen(HOUR + at, "open", {**CHROME, **signals})


def classes(*events: Seen) -> list[str]:
    """Judge events that are one another's neighbours."""
    return [judge(event, events).cls for event in events]


def test_a_verdict_is_json() -> None:
    """A verdict stands in an event as class and reasons."""
    assert Verdict("machine", ("burst",)).as_json() == {"class": "machine", "reasons": ["burst"]}


@pytest.mark.parametrize("kind", ["open", "click", "site"])
@pytest.mark.parametrize("agent", BY_AGENT)
def test_an_agent_alone_decides_where_there_is_nothing_else(kind: str, agent: str) -> None:
    """Without neighbours or other signs the agent's word is the verdict."""
    assert judge(Seen(0, kind, {"method": "GET", "agent": agent})) == BY_AGENT[agent]


def test_nothing_is_known_without_signals() -> None:
    """An event that came without a request, or with a word of another version, is unknown."""
    assert judge(Seen(0, "site")) == Verdict("unknown", ("no signals",))
    assert judge(Seen(0, "unsubscribe")) == Verdict("unknown", ("no signals",))
    assert judge(Seen(0, "open", {"agent": "sorcerer"})).cls == "unknown"


@pytest.mark.parametrize("purpose", ["prefetch", "prerender", "preview"])
def test_a_prefetch_is_a_machines(purpose: str) -> None:
    """What a browser loads because it guesses is nobody's click."""
    assert judge(click(0, purpose=purpose)) == Verdict("machine", ("prefetch",))


def test_reasons_add_up() -> None:
    """A checker that also falls into the trap, from a scanner's address, has all its reasons."""
    caught = Seen(0, "click", {"agent": "link checker", "honeypot": True, "network": "scanner:Proofpoint"})
    assert judge(caught) == Verdict("machine", ("link checker", "honeypot", "scanner network"))


@pytest.mark.parametrize(
    ("network", "of_open", "of_click"),
    [
        ("provider:Microsoft", "human", "machine"),
        ("scanner:Mimecast", "machine", "machine"),
        ("proxy:Google", "proxy", "human"),
    ],
)
def test_a_network_says_what_its_kind_says(network: str, of_open: str, of_click: str) -> None:
    """Microsoft's address is no evidence on an open and a scanner's on a click; a proxy's is the reverse."""
    assert judge(opened(0, network=network)).cls == of_open
    assert judge(click(0, network=network)).cls == of_click


def test_the_page_of_a_mail_address_is_a_click() -> None:
    """Who follows a `mailto:` link from a scanner's address is a scanner; a site's own event is not judged by address."""
    shown = {**CHROME, "network": "provider:Microsoft"}
    assert judge(Seen(0, "site", shown, url="mailto:a@example.com")).cls == "machine"
    assert judge(Seen(0, "site", {**shown, "method": "POST"})).cls == "human"


@pytest.mark.parametrize(
    ("since_sent", "cls"),
    [(0, "machine"), (-3, "machine"), (DELIVERY_S, "unknown"), (86_400, "unknown"), (None, "unknown")],
)
def test_a_bare_agent_at_delivery_is_a_machine(since_sent: int | None, cls: str) -> None:
    """Apple's privacy protection loads at delivery for itself; later, or at an unknown time, nobody can tell."""
    known = {} if since_sent is None else {"since_sent": since_sent}
    assert judge(Seen(0, "open", {"agent": "bare", **known})).cls == cls


@given(st.integers(0, 10_000_000))
def test_seconds_since_sending_alone_decide_nothing(since_sent: int) -> None:
    """A person may be quick, and a scanner slow."""
    assert judge(click(0, since_sent=since_sent)) == HUMAN
    assert judge(opened(0, since_sent=since_sent)) == HUMAN


@pytest.mark.parametrize("agent", BY_AGENT)
def test_an_unsubscribe_is_never_a_machines(agent: str) -> None:
    """A provider's server sends the one-click POST (RFC 8058) for a person; a browser's is the person's own."""
    verdict = judge(Seen(0, "unsubscribe", {"method": "POST", "agent": agent, "network": "provider:Microsoft"}))
    assert verdict == (HUMAN if agent in ("browser", "mail client") else Verdict("proxy", ("one-click",)))


@pytest.mark.parametrize(
    "times",
    [
        [(0, 1), (0, 2)],
        [(0, 1), (900, 2)],
        [(0, 1), (1_000, 2), (1_990, 3)],
        [(0, 1), (10, 2), (20, 3), (30, 4), (40, 5)],
        [(0, 1), (1_800, 2), (3_600, 3), (5_400, 4)],
        [(0, 1), (300, 2), (1_900, 1)],
    ],
)
def test_a_burst_is_a_machines(times: list[tuple[int, int]]) -> None:
    """Several links within a second or two, or one after the other at a pace that nobody keeps: all are a machine's."""
    clicks = [click(at, link) for at, link in times]
    assert classes(*clicks) == ["machine"] * len(clicks)
    assert {judge(event, clicks).reasons for event in clicks} == {("burst",)}


@pytest.mark.parametrize(
    "times",
    [
        [(0, 1), (150, 1)],
        [(0, 1), (80, 1), (160, 1), (240, 1)],
        [(0, 1), (1_400, 2)],
        [(0, 1), (2_100, 2), (4_400, 3)],
        [(0, 1), (60_000, 2), (120_000, 3), (170_000, 4)],
    ],
)
def test_people_click_twice(times: list[tuple[int, int]]) -> None:
    """A double click, a link in another tab, some links within a few seconds: still people."""
    assert set(classes(*(click(at, link) for at, link in times))) == {"human"}


@pytest.mark.parametrize(
    ("times", "early", "late"),
    [
        ([(0, 1), (500, 2)], "machine", "machine"),
        ([(0, 1), (800, 2)], "machine", "human"),
        ([(0, 1), (600, 2), (1_000, 3)], "machine", "machine"),
        ([(0, 1), (800, 2), (1_600, 3)], "machine", "human"),
        ([(0, 1), (900, 2), (1_800, 3), (2_700, 4)], "machine", "machine"),
        ([(0, 1), (1_500, 2), (3_000, 3), (4_500, 4)], "machine", "human"),
    ],
)
def test_late_readers_may_be_quick(times: list[tuple[int, int]], early: str, late: str) -> None:
    """All links at once are a scanner's at any time; somewhat slower, only while scanners are about."""
    assert set(classes(*(click(at, link, since_sent=DELIVERY_S) for at, link in times))) == {early}
    assert set(classes(*(click(at, link, since_sent=DELIVERY_S + 1) for at, link in times))) == {late}


@pytest.mark.parametrize("since_sent", [43, DELIVERY_S + 1])
@pytest.mark.parametrize(
    ("links", "pause", "cls"),
    [
        (WALK + 1, WALK_MS, "machine"),
        (15, 2_500, "machine"),
        (WALK, WALK_MS, "human"),
        (WALK + 1, WALK_MS + 1, "human"),
    ],
)
def test_nobody_walks_through_a_whole_letter(links: int, pause: int, cls: str, since_sent: int) -> None:
    """Link after link, without ever a rest, is a slow scanner's walk at any hour; some links of it may be a person's."""
    clicks = [click(link * pause, link, since_sent=since_sent) for link in range(links)]
    assert set(classes(*clicks)) == {cls}


def test_a_walk_is_of_different_links() -> None:
    """Who clicks a few links again and again is impatient, not a machine."""
    assert set(classes(*(click(at * WALK_MS, at % 3) for at in range(2 * WALK)))) == {"human"}


def test_an_open_and_a_click_are_no_burst() -> None:
    """A mail client loads the pictures only when the reader is about to click."""
    assert classes(opened(0), click(2, 1)) == ["human", "human"]
    assert classes(opened(0), opened(1), click(2, 1), click(90, 1)) == ["human"] * 4


def test_an_open_in_a_burst_is_the_machines() -> None:
    """Who takes all links takes the picture too; a mail proxy was asked by somebody else, and an open before by the reader."""
    swept = [click(at, link) for link, at in enumerate(range(0, 900, 100))]
    assert judge(opened(-300), swept) == Verdict("machine", ("burst",))
    assert judge(opened(-60_000), swept) == HUMAN
    assert judge(Seen(HOUR, "open", PROXY), swept).cls == "proxy"


def test_links_without_a_number_differ_by_target() -> None:
    """Where a token does not say which link it is, its target does."""
    two = [
        Seen(0, "click", CHROME, None, "https://example.com/a"),
        Seen(90, "click", CHROME, None, "https://example.com/b"),
    ]
    assert classes(*two) == ["machine", "machine"]
    assert classes(two[0], Seen(90, "click", CHROME, None, "https://example.com/a")) == ["human", "human"]


def test_guesses_of_a_browser_make_no_burst() -> None:
    """What the reader's browser prefetches beside the click does not make a machine of the reader."""
    assert classes(click(0, 1), click(10, 2, purpose="prefetch"), click(20, 3, purpose="prefetch"))[0] == "human"


@pytest.mark.parametrize("at", [-WINDOW_S * 1_000, -40_000, 3_000, WINDOW_S * 1_000])
def test_the_invisible_link_marks_its_neighbours(at: int) -> None:
    """Who came minutes before or after the click that nobody can make, in the same browser, is the same machine."""
    trap = click(at, 9, honeypot=True)
    assert judge(trap) == Verdict("machine", ("honeypot",))
    assert judge(click(0), [trap]) == Verdict("machine", ("honeypot nearby",))
    assert judge(opened(0), [trap]) == Verdict("machine", ("honeypot nearby",))


def test_the_invisible_link_does_not_mark_others() -> None:
    """Another browser, another hour, and the proxy of a mail client are not the machine that fell into the trap."""
    trap = click(0, 9, honeypot=True)
    assert judge(Seen(HOUR + 50_000, "click", IPHONE, 1), [trap]) == HUMAN
    assert judge(Seen(HOUR + 1_500, "click", IPHONE, 1), [trap]).cls == "machine"
    assert judge(click(WINDOW_S * 1_000 + 1), [trap]) == HUMAN
    assert judge(Seen(HOUR, "open", PROXY), [trap]).cls == "proxy"


@pytest.mark.parametrize("agent", ["none", "bare", "http library", "link checker", "crawler"])
def test_who_falls_into_the_trap_as_a_program_is_no_browser(agent: str) -> None:
    """A reader's browser a minute after a scanner that does not pose as one is the reader; in one breath, the scanner."""
    trap = Seen(HOUR, "click", {"method": "GET", "agent": agent, "honeypot": True}, 9)
    assert judge(click(60_000), [trap]) == HUMAN
    assert judge(click(1_500), [trap]) == Verdict("machine", ("honeypot nearby",))
    alike = Seen(HOUR + 60_000, "click", {"method": "GET", "agent": agent}, 1)
    assert "honeypot nearby" in judge(alike, [trap]).reasons


def test_nobodys_neighbours_are_nobodys() -> None:
    """Without a recipient there is no saying whose clicks they are: no burst, no trap but the own."""
    swept = [Seen(at, "click", CHROME, link, named=False) for link, at in enumerate(range(0, 500, 100))]
    assert classes(*swept) == ["human"] * 5
    assert judge(swept[0], [click(0, honeypot=True)]) == HUMAN
    assert judge(Seen(0, "click", {**CHROME, "honeypot": True}, named=False)).cls == "machine"


EVENTS = st.builds(
    Seen,
    at=st.integers(0, 2 * WINDOW_S * 1_000) | st.integers(0, 5_000),
    type=st.sampled_from(["open", "click", "unsubscribe", "site"]),
    signals=st.fixed_dictionaries(
        {"agent": st.sampled_from([*BY_AGENT, "later"])},
        optional={
            "method": st.sampled_from(["GET", "POST"]),
            "purpose": st.just("prefetch"),
            "honeypot": st.just(True),
            "network": st.sampled_from(["provider:M", "scanner:P", "proxy:G"]),
            "since_sent": st.integers(-10, 10_000),
            "browser": st.sampled_from(["chrome windows", "safari iphone"]),
        },
    ),
    link=st.none() | st.integers(0, 4),
    url=st.sampled_from(["", "https://example.com/"]),
    named=st.booleans(),
)


@given(EVENTS, st.lists(EVENTS, max_size=4))
def test_neighbours_have_no_order(event: Seen, others: list[Seen]) -> None:
    """A verdict is the same in whatever order the neighbours come, and whether or not the event is among them."""
    verdict = judge(event, others)
    assert verdict.cls in CLASSES
    assert all(judge(event, [*some, event]) == verdict for some in permutations(others, len(others)))


@given(EVENTS, st.lists(EVENTS, max_size=4))
def test_neighbours_only_tell_of_machines(event: Seen, others: list[Seen]) -> None:
    """Company makes a machine of an event or changes nothing; what is far away never changes anything."""
    alone = judge(event)
    assert judge(event, others).cls in (alone.cls, "machine")
    far = [other for other in others if abs(other.at - event.at) > WINDOW_S * 1_000]
    assert judge(event, far) == alone
