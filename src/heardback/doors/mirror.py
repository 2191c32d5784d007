"""The doctor's mirror: its tokens are answered like any other, and told what the server saw of the request.

Nothing is recorded of it. What the doctor makes of what it is told is in doctor.
"""

from __future__ import annotations

import json

from heardback.doors.replies import Answer, Reply, Visit

SEEN = "X-Heardback-Seen"


def mirrored(answer: Answer, visit: Visit, now: float) -> Reply:
    """Give an answer, and nothing to record, with a header of JSON (ASCII) that says what was seen, and when.

    `address` is the one that an event would have, `forwarded` the X-Forwarded-For that it was taken from, `time` in
    Unix seconds.
    """
    seen = {
        "method": visit.method,
        "host": visit.headers.get("host", ""),
        "address": visit.ip,
        "forwarded": visit.forwarded,
        "time": now,
    }
    return Reply(answer._replace(lines=answer.lines + f"{SEEN.lower()}: {json.dumps(seen)}\r\n".encode("ascii")))
