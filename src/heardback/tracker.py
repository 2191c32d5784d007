"""What a sender calls: a letter in, its tracked copy out; or the links alone, for a sender that writes its own letters.

No network, no event loop, thread-safe. How a letter is read and spliced is in letter; what a link says is in tokens.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import getaddresses
from pathlib import Path
from typing import Any, Self, TypedDict, TypeVar, Unpack, cast

from heardback import files, links
from heardback import letter as letters
from heardback.events import Clock, Modes
from heardback.settings import Settings, checks
from heardback.tokens import DOORS, Keyring, Kind, Token, sent_at

Letter = TypeVar("Letter", bytes, EmailMessage)


class Defaults(TypedDict, total=False):
    """What may be said of every letter, and again of one."""

    message_id: str
    """Default: the letter's own Message-ID."""
    additional: Mapping[str, Any]
    """Comes back in each event."""
    list: str
    """What an unsubscribe takes the recipient off."""
    mode: str
    """`full`, or for opens and clicks apart `open=anonymous,click=identified`."""
    sent_at: int | None
    """Unix seconds; default: the letter's Date, else now, but nothing in an anonymous token."""
    opens: bool
    clicks: bool
    unsubscribe: bool


class Options(Defaults, total=False):
    """What may be said of one letter; what is not said is as the settings have it."""

    base_url: str
    """One of the allowed ones; its URLs then begin with that, and are answered there alone."""


class HeaderPolicy(policy.EmailPolicy):
    """Writes long List-Unsubscribe URLs plainly: Python's own policies encode them, and one-click is dead."""

    def fold(self, name: str, value: str) -> str:
        """Give the header's text for a letter."""
        if name.lower() == "list-unsubscribe":
            return f"{name}: {value}{self.linesep}"
        return str(super().fold(name, value))

    def fold_binary(self, name: str, value: str) -> bytes:
        """Give the header's bytes for a letter."""
        if name.lower() == "list-unsubscribe":
            return self.fold(name, value).encode("utf-8", "surrogateescape")
        return super().fold_binary(name, value)


HEADER_POLICY = HeaderPolicy(linesep="\r\n", message_factory=EmailMessage)


ADDRESSES = frozenset({"from", "sender", "reply-to", "to", "cc", "bcc"})


def policy_of(letter: EmailMessage) -> HeaderPolicy:
    """Give the policy to write a letter by: in UTF-8 where its own does so, or an address of it can only be so.

    Python would encode that as words, which no address may hold (RFC 2047, section 5).
    """
    said = (str(value) for name, value in letter.raw_items() if name.lower() in ADDRESSES)  # as it came: not parsed
    plain = all(address.isascii() for _, address in getaddresses(said))
    return HEADER_POLICY.clone(utf8=getattr(letter.policy, "utf8", False) or not plain)


def parsed(copy: bytes, policy: HeaderPolicy) -> EmailMessage:
    """Give a letter as the EmailMessage that came in, to be written by a policy that leaves its headers good."""
    message = message_from_bytes(copy, policy=policy)
    return cast("EmailMessage", message)


class Tracker:
    """Rewrites letters and makes tracked URLs with one set of keys."""

    header_policy = HEADER_POLICY

    def __init__(
        self,
        base_url: str,
        keys: Sequence[str],
        *,
        allowed_base_urls: Sequence[str] = (),
        conceal: bool = True,
        plain_text: bool = False,
        url_text_links: bool = True,
        replace_unsubscribe: bool = False,
        stop_on_dkim: bool = False,
        mailto: bool = False,
        honeypot: bool = False,
        clock: Clock = time.time,
        **defaults: Unpack[Defaults],
    ) -> None:
        """Take where the server is reached, `id:secret` keys (the first signs) and the defaults of `[tracking]`.

        `base_url` and `allowed_base_urls` are to be as the server has them, which answers no others' tokens. Raises
        ValueError on a bad address, key or mode.
        """
        self._rules = letters.Rules(
            base_url=checks.base_url(base_url),
            keyring=Keyring(keys, conceal=conceal),
            base_urls=tuple(map(checks.base_url, allowed_base_urls)),
            plain_text=plain_text,
            url_text_links=url_text_links,
            replace_unsubscribe=replace_unsubscribe,
            stop_on_dkim=stop_on_dkim,
            mailto=mailto,
            honeypot=honeypot,
        )
        self._defaults = defaults
        self._clock = clock
        Modes.parse(defaults.get("mode", "full"))

    @classmethod
    def of(cls, settings: Settings, clock: Clock = time.time) -> Self:
        """Make the tracker that settings describe."""
        tracking = settings.tracking
        return cls(
            settings.base_url,
            settings.keys,
            allowed_base_urls=settings.server.allowed_base_urls,
            conceal=settings.privacy.conceal,
            plain_text=tracking.plain_text,
            url_text_links=tracking.url_text_links,
            replace_unsubscribe=tracking.replace_unsubscribe,
            stop_on_dkim=tracking.stop_on_dkim,
            mailto=tracking.mailto,
            honeypot=tracking.honeypot,
            clock=clock,
            mode=tracking.mode,
            opens=tracking.opens,
            clicks=tracking.clicks,
            unsubscribe=tracking.unsubscribe,
        )

    @classmethod
    def from_settings(cls, config: Path | str | None = None) -> Self:
        """Make the tracker of a settings file, as every command reads it. Raises SettingsError."""
        return cls.of(files.load(Path(config) if config else None, os.environ, need=("keys",)).settings)

    def rewrite(self, letter: Letter, recipient: str, **options: Unpack[Options]) -> Letter:
        """Give the tracked copy of a letter for one recipient, of the kind that came in: bytes or EmailMessage.

        Raises BadLetter where it cannot be read: send it as it is.
        """
        ((_, copy),) = self.rewrite_many(letter, [recipient], **options)
        return copy

    def rewrite_many(
        self, letter: Letter, recipients: Iterable[str], **options: Unpack[Options]
    ) -> Iterator[tuple[str, Letter]]:
        """Give each recipient and the tracked copy for them; the letter is read once."""
        policy = HEADER_POLICY if isinstance(letter, bytes) else policy_of(letter)
        raw = letter if isinstance(letter, bytes) else letter.as_bytes(policy=policy)
        edition = letters.Edition(letters.read(raw, self._rules), self._rules, self._wishes("", options), self._clock())
        for recipient in recipients:
            copy = edition.copy(recipient).letter
            yield recipient, copy if isinstance(letter, bytes) else parsed(copy, policy)

    def explain(self, raw: bytes, recipient: str, **options: Unpack[Options]) -> letters.Rewritten:
        """Give the tracked copy of a letter with what became of each link, and why."""
        return letters.rewrite(raw, self._rules, self._wishes(recipient, options), self._clock())

    def rewrite_html(self, html: str, recipient: str, **options: Unpack[Options]) -> letters.RewrittenPage:
        """Give the tracked copy of an HTML document: `.html`, the `.headers` to send with it, `.links`."""
        return letters.rewrite_html(html, self._rules, self._wishes(recipient, options), self._clock())

    def open_url(self, recipient: str, **options: Unpack[Options]) -> str:
        """Give a pixel's URL."""
        return self.url(self._token("open", recipient, options))

    def click_url(self, url: str, recipient: str, *, link: int | None = None, **options: Unpack[Options]) -> str:
        """Give the tracked URL of a link, to the web or a `mailto:` one.

        Raises ValueError, saying why, for a target that no reader can be sent to.
        """
        target, reason = links.target(url, mailto=True)
        if reason:
            raise ValueError(f"this url cannot be tracked: {reason}")
        return self.url(self._token("click", recipient, options, target, link))

    def unsubscribe_url(self, recipient: str, **options: Unpack[Options]) -> str:
        """Give the URL for List-Unsubscribe, which is also the page with the button. Raises ValueError for nobody's."""
        return self.url(self._token("unsubscribe", recipient, options))

    def preferences_url(self, recipient: str, **options: Unpack[Options]) -> str:
        """Give the URL of the recipient's own tracking choices. Raises ValueError for nobody's."""
        return self.url(self._token("preferences", recipient, options))

    def site_url(self, recipient: str, url: str = "", **options: Unpack[Options]) -> str:
        """Give the URL that takes a recipient's site events; `url` is the page that the letter led to.

        Raises ValueError, saying why, where that is no address.
        """
        target, reason = links.target(url) if url else ("", "")
        if reason:
            raise ValueError(f"this url led nobody to a site: {reason}")
        return self.url(self._token("site", recipient, options, target))

    def read(self, kind: Kind, token: str) -> Token:
        """Say what a token says. Raises BadToken."""
        return self._rules.keyring.read(kind, token)

    def url(self, token: Token) -> str:
        """Seal a token and give its URL. Raises ValueError where that is too long for mail clients."""
        made = f"{token.domain or self._rules.base_url}/{DOORS[token.kind]}/{self._rules.keyring.seal(token)}"
        if len(made) > letters.LONGEST_URL:
            raise ValueError(
                f"the tracked url has {len(made)} characters, more than {letters.LONGEST_URL}: say less in it"
            )
        return made

    def _token(self, kind: Kind, recipient: str, options: Options, url: str = "", link: int | None = None) -> Token:
        if not recipient and kind in ("unsubscribe", "preferences"):
            raise ValueError(f"this link needs its recipient: one of kind {kind} is somebody's own in every mode")
        said = self._said(options)
        mode = Modes.parse(said.get("mode", "full")).of(kind)
        return Token(
            kind,
            recipient=recipient,
            message_id=said.get("message_id", ""),
            url=url,
            link=link,
            list=said.get("list", ""),
            mode=mode,
            sent_at=sent_at(said.get("sent_at"), self._clock(), kind, mode),
            additional=said.get("additional", {}),
            domain=self._rules.domain(said.get("base_url", "")),
        )

    def _wishes(self, recipient: str, options: Options) -> letters.Wishes:
        said = self._said(options)
        Modes.parse(said.get("mode", "full"))
        return letters.Wishes(recipient=recipient, **said)

    def _said(self, options: Options) -> Options:
        """Put what is said of one letter over the defaults; None says nothing.

        Raises TypeError for no option, and ValueError for a base URL that may not be named.
        """
        if unknown := options.keys() - Options.__annotations__.keys():
            raise TypeError(
                f"there is no option {min(unknown)!r}; the options are {', '.join(Options.__annotations__)}"
            )
        given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        if "base_url" in given:
            given["base_url"] = self._rules.named(given["base_url"])
        return cast("Options", {**self._defaults, **given})
