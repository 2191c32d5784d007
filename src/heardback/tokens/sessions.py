"""What the browser of somebody who signed in keeps, signed: the session, what its forms carry, what is said once.

Who is let in, and cookies, are in the dashboard's room. No clock: times come in.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from hmac import compare_digest

from itsdangerous import BadData, URLSafeSerializer

LASTS_S = 12 * 3_600
"""How long somebody stays signed in."""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who signed in, until a time in Unix seconds."""

    id: str
    until: float


class Sessions:
    """Signs with the API token: a new one ends every session, on every node."""

    def __init__(self, api_token: str) -> None:
        """Make a signer for each thing that is signed, so that none passes for another."""
        self._sessions, self._forms, self._notes = (
            URLSafeSerializer(
                api_token,
                salt=f"heardback.dashboard.{kind}",
                signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
            )
            for kind in ("session", "form", "note")
        )

    def begin(self, now: float) -> str:
        """Make the text of a new session."""
        return self._written(self._sessions, [secrets.token_urlsafe(16), int(now) + LASTS_S])

    def read(self, text: str, now: float) -> Session | None:
        """Give the session of a text; None where it is not ours, or over."""
        try:
            id_, until = self._sessions.loads(text)
        except (BadData, ValueError, TypeError):
            return None
        return Session(id_, until) if now < until else None

    def form_of(self, session: Session) -> str:
        """Give what every form of a session carries, which no other site can know."""
        return self._written(self._forms, session.id)

    def fits(self, session: Session, form: str) -> bool:
        """Say whether a form is one of this session's."""
        return compare_digest(form.encode("utf-8", "replace"), self.form_of(session).encode())

    def note(self, session: Session, text: str) -> str:
        """Make the text of what is to be said on the next page."""
        return self._written(self._notes, [session.id, text])

    def noted(self, session: Session, text: str) -> str:
        """Give what is to be said on this page; nothing where it is not from this session."""
        try:
            id_, said = self._notes.loads(text)
        except (BadData, ValueError, TypeError):
            return ""
        return str(said) if id_ == session.id else ""

    def _written(self, serializer: URLSafeSerializer, said: object) -> str:
        text = serializer.dumps(said)
        return text if isinstance(text, str) else text.decode("ascii")
