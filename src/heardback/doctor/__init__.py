"""The examination of a deployment through its public URL: which checks there are, and in which order.

Nothing of it stays: the doctor's tokens are answered like any other, and nothing is recorded of them. What is asked is
in connection, answers, reader, services and letters.
"""

from __future__ import annotations

from collections.abc import Iterator

from heardback.doctor import answers, connection, letters, reader, services
from heardback.doctor.findings import Finding
from heardback.doctor.probe import Probe
from heardback.settings import Settings

__all__ = ["Finding", "Probe", "examine"]

FIRST = (connection.connection, connection.tls, answers.path, answers.keys)
"""Where one of these finds something, but for the certificate, what comes after it would find the same again."""

THEN = (
    answers.location,
    answers.redirect,
    answers.pixel,
    answers.cache,
    answers.head,
    answers.page,
    answers.form,
    answers.multipart,
    answers.bare,
    reader.host,
    reader.clock,
    services.store,
)


def examine(settings: Settings, probe: Probe, letter: bytes | None = None) -> Iterator[Finding]:
    """Look at everything, and give each finding as it is made. `letter` is one that arrived, as bytes."""
    yield from public(settings, probe)
    yield services.database(settings)
    yield from services.destinations(settings, probe.clock)
    yield letters.letter(letter, settings, probe)


def public(settings: Settings, probe: Probe) -> Iterator[Finding]:
    """Look at the public door, as far as it is reached."""
    for check in FIRST:
        yield (finding := check(probe))
        if finding.state == "wrong" and check is not connection.tls:
            return
    for check in THEN:
        yield check(probe)
    yield reader.address(probe, settings.server.trusted_proxies)
