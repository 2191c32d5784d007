"""Letters made of parts, and what their copies say by the standard library: for the tests of letter."""

import re
from dataclasses import replace
from email import message_from_bytes
from email.message import Message

from heardback.letter import Rewritten, Rules, Wishes, rewrite
from heardback.tokens import Keyring

KEYRING = Keyring(["test:0123456789abcdef0123456789abcdef"])
RULES = Rules("https://t.example.com", KEYRING)
PLAIN = replace(RULES, plain_text=True)
JANE = Wishes("jane@example.org")

URL = re.compile(rb"https://t\.example\.com/([oc])/([\w-]+\.[\w-]+)")
LINK = '<a href="https://example.com/x?a=1">x</a>'


def rewritten(raw: bytes, rules: Rules = RULES) -> Rewritten:
    """The letter's copy for Jane."""
    return rewrite(raw, rules, JANE, 1_700_000_000.0)


def part(kind: str, body: str = LINK, *headers: str) -> str:
    """One part with its header."""
    return "\n".join([f"Content-Type: {kind}", *headers, "", body])


def multi(kind: str, boundary: str, *parts: str) -> str:
    """A multipart with its header."""
    delimited = "".join(f"--{boundary}\n{each}\n" for each in parts)
    return part(f'multipart/{kind}; boundary="{boundary}"', f"preamble\n{delimited}--{boundary}--\nepilogue")


def letter(body: str) -> bytes:
    """A letter that ends as this part does."""
    return b"From: a@example.com\nMessage-ID: <1@example.com>\n" + body.encode()


def says(raw: bytes, path: str) -> bytes:
    """What the part with a MIME path says, decoded, by the standard library."""
    found = message_from_bytes(raw)
    for number in path.split(".") if found.get_content_maintype() == "multipart" else ():
        child = found.get_payload(int(number) - 1)
        assert isinstance(child, Message)
        found = child
    payload = found.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload


def doors(text: bytes) -> str:
    """Which kinds of URLs of ours stand in a text, in order."""
    return "".join(kind.decode() for kind, _ in URL.findall(text))
