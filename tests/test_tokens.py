"""Tokens: what is sealed is read, and nothing else is."""

from __future__ import annotations

import hashlib
import json
import string
import zlib

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from itsdangerous import Signer
from itsdangerous.encoding import base64_decode, base64_encode

from heardback.errors import BadLetter, BadToken
from heardback.events import new_id
from heardback.tokens import DOORS, LONGEST, Keyring, Kind, Token

OLD, NEW = "2026a:an old secret of the house", "2026b:the secret that signs now"
KINDS: tuple[Kind, ...] = tuple(DOORS)
RING = Keyring([NEW, OLD])

plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3),
    max_leaves=8,
)
tokens = st.builds(
    Token,
    kind=st.sampled_from(KINDS),
    recipient=plain,
    message_id=plain,
    url=plain,
    link=st.none() | st.integers(0, 2**32),
    list=plain,
    mode=st.sampled_from(["full", "identified", "pseudonymous", "off"]),
    sent_at=st.integers(0, 2**40),
    additional=st.dictionaries(plain, json_values, max_size=3),
    domain=plain,
    event_id=st.none() | st.uuids(),
)


def click(**said: object) -> Token:
    """Make an ordinary click's token."""
    ordinary = {
        "recipient": "jane@example.org",
        "message_id": "<36e7f4a5-1b5c-4b5e-9c64-7d5b9c1d1c3f@c568c9a1654f>",
        "url": "https://example.com/",
        "link": 3,
        "sent_at": 1_763_800_000,
    }
    return Token("click", **(ordinary | said))  # type: ignore[arg-type]


@given(tokens, st.booleans())
def test_what_is_sealed_is_read(token: Token, conceal: bool) -> None:
    """Every field comes back, concealed or not."""
    ring = Keyring([NEW], conceal=conceal)
    assert ring.read(token.kind, ring.seal(token)) == token


@given(tokens)
def test_no_kind_passes_for_another(token: Token) -> None:
    """A token is read at its own door alone."""
    sealed = RING.seal(token)
    for kind in set(KINDS) - {token.kind}:
        with pytest.raises(BadToken):
            RING.read(kind, sealed)


@given(st.sampled_from(KINDS), st.text())
@example("click", "\ud800")
@example("click", "\0" * 9)
@example("click", "é.é")
@example("click", ".")
@example("click", "AQ.AQ")
@example("open", "A" * 5_000_000)
@example("open", "A." * LONGEST)
def test_any_text_gives_a_token_or_bad_token(kind: Kind, text: str) -> None:
    """No text raises anything but BadToken."""
    with pytest.raises(BadToken):
        RING.read(kind, text)


@given(st.data(), tokens)
def test_a_changed_text_is_no_token(data: st.DataObject, token: Token) -> None:
    """Another character anywhere is refused, but for the last: base64 has bits there that nobody reads."""
    sealed = RING.seal(token)
    place = data.draw(st.integers(0, len(sealed) - 2))
    other = data.draw(st.sampled_from(string.ascii_letters + string.digits + "-_.=%\n"))
    if other != sealed[place]:
        with pytest.raises(BadToken):
            RING.read(token.kind, sealed[:place] + other + sealed[place + 1 :])


@given(st.data(), st.sampled_from(KINDS))
def test_a_signature_is_good_where_itsdangerous_says_so(data: st.DataObject, kind: Kind) -> None:
    """Its signer is the definition: with anything put in, taken out or changed, we read what it would take."""
    sealed = RING.seal(Token(kind, "jane@example.org"))
    start = data.draw(st.integers(0, len(sealed)))
    end = data.draw(st.integers(start, min(start + 2, len(sealed))))
    text = sealed[:start] + data.draw(st.text(string.ascii_letters + "-_.=+/%\n", max_size=3)) + sealed[end:]
    signer = Signer(NEW.partition(":")[2], f"heardback.{kind}", key_derivation="hmac", digest_method=hashlib.sha256)
    try:
        read: Token | None = RING.read(kind, text)
    except BadToken:
        read = None
    assert (read is not None) == signer.validate(text)


@given(st.binary(max_size=200), st.sampled_from(KINDS))
def test_a_good_signature_over_nonsense_is_bad(nonsense: bytes, kind: Kind) -> None:
    """Even signed with our own key, what is no payload of ours raises BadToken alone."""
    secret = NEW.partition(":")[2]
    signer = Signer(secret, f"heardback.{kind}", key_derivation="hmac", digest_method=hashlib.sha256)
    for flags in (0x04, 0x44, 0x84, 0xC4):
        payload = base64_encode(bytes((1, flags)) + b"2026b" + nonsense)
        try:
            read = Keyring([NEW]).read(kind, signer.sign(payload).decode())
        except BadToken:
            continue
        assert isinstance(read, Token)


def test_an_old_key_still_reads() -> None:
    """What the second key sealed, when it was the first, is read; without that key it is not."""
    sealed = Keyring([OLD]).seal(click())
    assert RING.read("click", sealed) == click()
    with pytest.raises(BadToken):
        Keyring([NEW]).read("click", sealed)


def test_the_first_key_signs() -> None:
    """A new token is read by a server that has the first key alone."""
    assert Keyring([NEW]).read("click", RING.seal(click())) == click()


def test_the_same_id_with_another_secret_reads_nothing() -> None:
    """A key's id is no key."""
    with pytest.raises(BadToken):
        Keyring(["2026b:some quite other secret"]).read("click", RING.seal(click()))


def test_sealing_is_deterministic() -> None:
    """The same token has the same text, whatever the order of `additional`."""
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}
    assert RING.seal(click(additional=one)) == Keyring([NEW]).seal(click(additional=other))


@pytest.mark.parametrize("conceal", [True, False])
@pytest.mark.parametrize("mode", ["full", "anonymous"])
def test_a_blank_is_sealed_for_many(conceal: bool, mode: str) -> None:
    """It gives what sealing the whole token gives, and says before how long that will be."""
    ring = Keyring([NEW], conceal=conceal)
    blank = ring.blank(click(mode=mode))
    for recipient in ("", "j", "jane@example.org", "jan\u00e9@example.org", "j" * 300):
        sealed = ring.seal(click(recipient=recipient, mode=mode))
        assert blank.seal(recipient) == sealed
        assert blank.length(len(recipient.encode())) == len(sealed)


@given(tokens, st.booleans())
def test_the_signature_is_itsdangerous_own(token: Token, conceal: bool) -> None:
    """Its signer, given our key and salt, writes the very same text over the same payload."""
    sealed = Keyring([NEW], conceal=conceal).seal(token)
    secret = NEW.partition(":")[2]
    signer = Signer(secret, f"heardback.{token.kind}", key_derivation="hmac", digest_method=hashlib.sha256)
    payload = base64_decode(sealed.partition(".")[0])
    assert signer.sign(base64_encode(payload)).decode() == sealed


@given(tokens, st.booleans())
def test_a_stem_bears_what_a_blank_says(token: Token, conceal: bool) -> None:
    """Made from what the links of a letter have in common, a token says the same."""
    ring = Keyring([NEW], conceal=conceal)
    blank = ring.stem(token).blank(token.url, token.link)
    sealed = blank.seal(token.recipient)
    assert ring.read(token.kind, sealed) == token
    assert len(sealed) == blank.length(len(token.recipient.encode()))


@pytest.mark.parametrize("token", [Token("open", "\ud800"), Token("open", list="\ud800"), click(link=2**64)])
def test_what_cannot_be_written_is_a_bad_letter(token: Token) -> None:
    """Half a character, whoever's it is, and too long a number are the letter's fault."""
    with pytest.raises(BadLetter):
        RING.seal(token)


@pytest.mark.parametrize("kind", ["open", "click"])
def test_an_anonymous_token_names_nobody(kind: Kind) -> None:
    """Sealed for two people it is the same text, and holds neither them nor `additional`."""
    jane, joe = (Token(kind, recipient=who, mode="anonymous", additional={"who": who}) for who in ("jane@x", "joe@x"))
    assert RING.seal(jane) == RING.seal(joe)
    assert RING.read(kind, RING.seal(jane)) == Token(kind, mode="anonymous")


def test_an_unsubscribe_is_personal_in_every_mode() -> None:
    """Only opens and clicks can be anonymous: an unsubscribe must say whose it is."""
    token = Token("unsubscribe", recipient="jane@example.org", mode="anonymous")
    assert RING.read("unsubscribe", RING.seal(token)).recipient == "jane@example.org"


def test_a_concealed_token_shows_nothing() -> None:
    """The recipient cannot be read out of the text; without `conceal` it can."""
    shown, concealed = (
        base64_decode(Keyring([NEW], conceal=each).seal(Token("open", "jane")).partition(".")[0])
        for each in (False, True)
    )
    assert b"jane" in shown
    assert b"jane" not in concealed


@pytest.mark.parametrize(
    ("recipient", "message_id"),
    [
        ("jane@example.org", "<36e7f4a5-1b5c-4b5e-9c64-7d5b9c1d1c3f@c568c9a1654f>"),
        ("firstname.lastname@department.example.com", "<173219234567.12345.12345678901234567@mail.example.com>"),
    ],
)
def test_a_click_url_is_compact(recipient: str, message_id: str) -> None:
    """A target of 107 characters makes a URL of at most 350, key id included; in a letter a few more."""
    target = (
        "https://www.example.com/articles/2026/11/22/why-we-count-differently/part-2.html?issue=48291&ref=letter&pos=17b4"
    )[:107]
    token = click(url=target, recipient=recipient, message_id=message_id, list="weekly-digest")
    sealed = RING.seal(token)
    in_letter = RING.stem(token).blank(token.url, token.link).seal(recipient)
    assert len(target) == 107
    assert len(f"https://t.example.com/c/{sealed}") <= 350
    assert len(f"https://t.example.com/c/{in_letter}") <= 350
    assert len(in_letter) <= len(sealed) + 8


def test_a_site_token_of_a_click_is_short() -> None:
    """It holds the click's event id alone, and adds little to the address that a browser lands at."""
    assert len(RING.seal(Token("site", event_id=new_id()))) <= 120


def test_a_later_versions_field_is_passed_over() -> None:
    """What is appended does not make a token unreadable, for tokens live as long as mail."""
    said = msgspec.msgpack.encode(["<1@example.com>", "", None, 0, "", "", {}, "", b"", {"of": "the future"}])
    body = zlib.compress(said, wbits=-15) + b"jane@example.org"
    signer = Signer(OLD.partition(":")[2], "heardback.open", key_derivation="hmac", digest_method=hashlib.sha256)
    text = signer.sign(base64_encode(b"\x01\x042026a" + body)).decode()
    assert RING.read("open", text) == Token("open", "jane@example.org", "<1@example.com>")


def test_tokens_of_the_first_release_are_read() -> None:
    """Mail that is out there stays good: these texts were sealed by version 0.1.0 and never change."""
    for kind, text in json.loads(FIRST).items():
        token = RING.read(kind, text)
        assert token.recipient == "jane@example.org"
        assert token.message_id == "<1@example.com>"
        assert token.additional == {"campaign": "autumn"}


@pytest.mark.parametrize("keys", [[], ["no colon"], ["id:"], ["bad id:0123456789abcdef"], [NEW, NEW]])
def test_a_bad_key_is_refused(keys: list[str]) -> None:
    """A keyring says that a key cannot be used, without repeating it."""
    with pytest.raises(ValueError, match=r"key") as caught:
        Keyring(keys)
    assert "0123456789abcdef" not in str(caught.value)


FIRST = """
{
 "open": "AYQyMDI2YhruKyh6SPBMj-OxACzMLHVsMDWhcgcAXZa5-_r1ZSr866eOsqkDCaeipfoci_EXFlmiBQAS4iYcOMa5SMVk-58m4aGW5A.rdhi_hCjixr_Iye1ni6HPvNMkGi37lBqdo1yFOUk1rA",
 "click": "AYQyMDI2Yt3qaUHfzb-7BWNwj-svJuzOz8mhwgJRcPUwCkxLPJgNtCX0XcUVsC2_DrwXqc9O3dWzZCiIWNkDpf-_Xc5uy116284RmFfrYAzkRKxgH5YbzA._Ps1FWxyxGNZ0JtaJYOnWKa5yFzA5BfRE2E2YY4rnNk",
 "unsubscribe": "AYQyMDI2YvUlBxEW9lTA592KFjgb0HZjn5C5tW3Oe_CRojN1q7uvHUu5b40q8iyLRC4CTCVQwq962WM-ev4wbtAMo4fm-w65tXcOBQ.1DDqrD5Hyqlisd80WTSlb06F0NaXo8jtzzqYBNiZ88o",
 "preferences": "AYQyMDI2YitU6l9b-8bFIh_ihuVUnqtICXoGBWjW1tu2VfKkTKfkjjqX_mx3vHIS8rAiEBqiqqTUbp5X-aF6A2HGPequyBjh8lcXwA.pExvvEE18pYWzdRK9TZt2GcuWceQ1KRq7odFeqjl6Go",
 "site": "AYQyMDI2YqGkDG1dnp1Fae8Z-rqLXEy8YuFUx1dNpIcE-uhHsx3Sugf3xWE0lWPTvIKS3LhwM747tV0_h6zHWbYZmVPmc6eaN8ur_g.ubVI2t3WYwUlqwf4cJ7zO30SyajtKS_XR13Ij40enzA"
}
"""
