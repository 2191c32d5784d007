"""The rules hold against a crowd: people, proxies, prefetchers and scanners, as the simulator plays them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from tests.bench.traffic import Judged, count, rates, simulated


@pytest.fixture(scope="module")
def crowd() -> Sequence[Judged]:
    """Let a crowd read its mail."""
    return simulated(seed=7, copies=1_500)


def of(crowd: Sequence[Judged], actor: str, kind: str) -> Sequence[Judged]:
    """Give an actor's events of a type."""
    found = [judged for judged in crowd if (judged.hit.actor, judged.hit.type) == (actor, kind)]
    assert len(found) > 50
    return found


def test_scanners_are_found_and_people_are_left_alone(crowd: Sequence[Judged]) -> None:
    """At least 95 of a hundred scanners' clicks are a machine's, and hardly any of people's."""
    figures = rates(count(crowd))
    assert figures["scanner clicks found"] >= 0.95
    assert figures["people's clicks called machine"] <= 0.01  # of some 400; the bench holds 0.002 over ten seeds


def test_proxies_and_prefetchers_are_told_apart(crowd: Sequence[Judged]) -> None:
    """A proxy's open is somebody's; a prefetch is nobody's; Apple's may be either, and is never called a person's."""
    assert {judged.last.cls for judged in of(crowd, "proxy", "open")} == {"proxy"}
    assert {judged.last.cls for kind in ("open", "click") for judged in of(crowd, "prefetch", kind)} == {"machine"}
    assert {judged.last.cls for judged in of(crowd, "apple", "open")} == {"machine", "unknown"}


def test_the_second_look_corrects_the_first(crowd: Sequence[Judged]) -> None:
    """Nothing that was a machine's becomes a person's; what came first of a slow scanner is found out later."""
    changed = Counter((judged.first.cls, judged.last.cls) for judged in crowd if judged.first.cls != judged.last.cls)
    assert set(changed) <= {("human", "machine"), ("unknown", "machine")}
    assert changed["human", "machine"] > 0


def test_a_crowd_comes_again() -> None:
    """The same seed makes the same crowd, and the same verdicts."""
    assert simulated(3, 50) == simulated(3, 50)
    assert simulated(3, 50) != simulated(4, 50)
