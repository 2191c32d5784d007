"""A Django e-mail backend around any other: each recipient gets a message, with a tracked copy, of their own.

`EMAIL_BACKEND = "heardback.django.EmailBackend"`; HEARDBACK_EMAIL_BACKEND names the one that sends. Needs a
HEARDBACK_CONFIG file, or HEARDBACK_BASE_URL and HEARDBACK_KEYS. It must be one that asks a message for `.message()`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from email import message_from_bytes
from email.message import EmailMessage as StandardMessage
from email.policy import Policy
from email.utils import parseaddr
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend

from heardback.errors import BadLetter
from heardback.tracker import Tracker

logger = logging.getLogger(__name__)

SENDS = "django.core.mail.backends.smtp.EmailBackend"
"""The backend that sends, unless HEARDBACK_EMAIL_BACKEND names another."""


class EmailBackend(BaseEmailBackend):
    """Hands tracked copies to the backend that sends."""

    def __init__(self, fail_silently: bool = False, **options: Any) -> None:  # noqa: ANN401  the other backend's own
        """Take what the backend that sends takes."""
        super().__init__(fail_silently=fail_silently)
        sends = getattr(settings, "HEARDBACK_EMAIL_BACKEND", SENDS)
        self._sends: BaseEmailBackend = get_connection(sends, fail_silently=fail_silently, **options)

    def open(self) -> bool | None:
        """Open a connection; say whether it is a new one."""
        return self._sends.open()

    def close(self) -> None:
        """Close the connection."""
        self._sends.close()

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Send messages; give how many of them went to all of their recipients.

        Raises ImproperlyConfigured, SettingsError, and what the backend that sends raises.
        """
        tracks = tracker()
        opened = self.open()
        try:
            return sum(self._sent(list(copies(message, tracks))) for message in email_messages)
        finally:
            if opened:
                self.close()

    def _sent(self, messages: list[EmailMessage]) -> bool:
        return bool(messages) and self._sends.send_messages(messages) == len(messages)


def copies(message: EmailMessage, tracks: Tracker) -> Iterator[EmailMessage]:
    """Give each recipient's copy of a message; the message itself where it cannot be rewritten."""
    recipients: dict[str, str] = {}
    for written in message.recipients():
        recipients.setdefault(parseaddr(written)[1] or written, written)
    if not recipients:
        return
    try:
        # Once for all: Django makes a Message-ID and a Date each time it is asked.
        letters = list(tracks.rewrite_many(message.message().as_bytes(), recipients))
    except BadLetter as error:
        logger.warning("a message goes on untouched: %s", error)
        yield message
    else:
        for address, letter in letters:
            yield Copy(message, recipients[address], letter)


class Copy(EmailMessage):
    """One recipient's copy of a message: all that it was, but for whom it is and what its letter says."""

    def __init__(self, whole: EmailMessage, recipient: str, letter: bytes) -> None:
        """Take the message, the recipient as the message writes them, and their letter."""
        super().__init__()
        vars(self).update(vars(whole))
        self._recipient = recipient
        self._letter = letter

    def recipients(self) -> list[str]:
        """Give the one recipient."""
        return [self._recipient]

    def message(self, *, policy: Policy | None = None) -> Letter:
        """Give the letter; `policy`, which Django names from 6.0 on, says how its lines end."""
        lines = POLICY.clone(linesep=policy.linesep) if policy else POLICY
        return cast("Letter", message_from_bytes(self._letter, policy=lines))


class Letter(StandardMessage):
    """A letter that is written as it was read: no header is folded anew."""

    def as_bytes(self, unixfrom: bool = False, policy: Policy | None = None, linesep: str = "") -> bytes:
        """Give its bytes; `linesep`, which Django names before 6.0, says how its lines end."""
        return super().as_bytes(unixfrom, self.policy.clone(linesep=linesep) if linesep else policy)


POLICY = Tracker.header_policy.clone(linesep="\n", refold_source="none", message_factory=Letter)


def tracker() -> Tracker:
    """Make the tracker that Django's settings describe."""
    if config := getattr(settings, "HEARDBACK_CONFIG", ""):
        return Tracker.from_settings(config)
    base_url, keys = getattr(settings, "HEARDBACK_BASE_URL", ""), getattr(settings, "HEARDBACK_KEYS", ())
    if not base_url or not keys:
        raise ImproperlyConfigured("Set HEARDBACK_CONFIG, or HEARDBACK_BASE_URL and HEARDBACK_KEYS.")
    return Tracker(base_url, keys)
