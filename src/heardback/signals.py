"""What a request shows of who made it, taken at the moment of the hit: small facts, no verdict, no names.

Pure. They are kept beside the event, so that it can be judged also where a mode threw address and user agent away.
"""

from __future__ import annotations

from collections.abc import Mapping

KEPT = {
    "sec-purpose": "purpose",
    "purpose": "purpose",
    "x-moz": "purpose",
    "x-purpose": "purpose",
    "sec-fetch-dest": "fetch_dest",
    "sec-fetch-mode": "fetch_mode",
    "sec-fetch-site": "fetch_site",
    "sec-fetch-user": "fetch_user",
    "accept": "accept",
}
"""The headers that are taken, by the name that they are kept under."""

LONGEST = 200
"""Characters kept of a header: the shape tells, not the length."""


def of(method: str, headers: Mapping[str, str], sent_at: int, now: float) -> dict[str, str | int]:
    """Give the signals of a request; `sent_at` and `now` are Unix seconds, header names are lower case.

    `since_sent` stands in it only where the token says when its letter was sent.
    """
    taken: dict[str, str | int] = {"method": method}
    for header, name in KEPT.items():
        if value := headers.get(header):
            taken.setdefault(name, value[:LONGEST])
    if sent_at:
        taken["since_sent"] = int(now) - sent_at
    return taken
