"""How the log is written on stderr: JSON, one line a record, for programs; text for whoever looks at a terminal.

What is said in it is everybody's own; never a secret, a token or a recipient at INFO or above.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

TEXT = "%(levelname)s %(name)s: %(message)s"

LOUDEST = {
    **dict.fromkeys(("httpx", "httpcore", "asyncio", "aiosqlite", "nats"), logging.WARNING),
    # aiosmtpd writes addresses and commands at INFO, and warns of itself at each login.
    "mail.log": logging.ERROR,
    # uvicorn warns of every malformed request, and anybody sends those.
    "uvicorn": logging.ERROR,
}
"""From which level on libraries are heard: httpx, for one, writes whole URLs at INFO."""


class JsonLines(logging.Formatter):
    """A record as a JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write time, level, logger and message; what a record has besides, where it has it."""
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := getattr(record, "request_id", ""):
            said["request_id"] = request_id
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said)


def begin(form: str = "text") -> None:
    """Write the log to stderr from now on: `json`, `text`, or `auto`, which is text on a terminal alone."""
    handler = logging.StreamHandler(sys.stderr)
    is_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler.setFormatter(logging.Formatter(TEXT) if is_text else JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(True)  # Python writes them in lines of its own
    for name, level in LOUDEST.items():
        logging.getLogger(name).setLevel(level)
