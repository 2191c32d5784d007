"""The page of choices, `/p/`, and what it takes to change one's mind: real processes, real HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heardback.doors.preferences import choice_of
from heardback.tokens import Keyring, Token
from heardback.tracker import Tracker
from tests.program import KEY, Answer, Program, wait_until
from tests.test_halon import halon_token
from tests.test_outage import locked

RING = Keyring([KEY])
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run one server for the tests of this file, under a path prefix too."""
    with Program(tmp_path_factory.mktemp("preferences"), path="/t") as running:
        yield running


def preferences(recipient: str, **said: Any) -> str:
    """Give the path of somebody's choices."""
    ordinary: dict[str, Any] = {"recipient": recipient, "message_id": f"<{recipient}>", "list": "news", "sent_at": 9}
    return f"/p/{RING.seal(Token('preferences', **(ordinary | said)))}"


def press(program: Program, path: str, choice: str, **headers: str) -> Answer:
    """Press a button of the page, as a browser does."""
    return program.ask("POST", path, choice.encode(), {**FORM, **headers})


def text(answer: Answer) -> str:
    """Give what is to be read on a page."""
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", answer.body.decode(), flags=re.DOTALL).split())


def test_the_page_says_what_holds(program: Program) -> None:
    """Whose choices they are, what is recorded, both buttons; no script, no cookie; looking changes nothing."""
    path = preferences("a@example.org")
    answer = program.ask("GET", path)
    page = answer.body.decode()
    assert answer.status == 200
    assert "a@example.org" in page and "your opens and clicks are recorded" in page
    assert "you get the emails from news" in text(answer)
    assert re.findall(r'name="(\w+)" value="(\w+)"', page) == [
        ("tracking", "denied"),
        ("tracking", "granted"),
        ("subscribed", "no"),
    ]
    assert "<script" not in page and answer.header("set-cookie") == ""
    assert "default-src 'none'" in answer.header("content-security-policy")
    head = program.ask("HEAD", path)
    assert (head.status, head.body, head.header("content-length")) == (200, b"", str(len(answer.body)))
    assert program.api("GET", "/api/consents/a@example.org").json()["at"] is None
    assert program.events(recipient="a@example.org") == []


@pytest.mark.parametrize("prefix", ["", "/t"])
def test_tracking_is_denied_and_granted(program: Program, prefix: str) -> None:
    """Each press is durable with when and how, and the page says what holds from now on."""
    recipient = f"b{len(prefix)}@example.org"
    path = prefix + preferences(recipient)
    pressed = [press(program, path, f"tracking={choice}") for choice in ("denied", "granted", "denied")]
    assert [answer.status for answer in pressed] == [200, 200, 200]
    assert ["Your choice is saved." in text(answer) for answer in pressed] == [True] * 3
    assert ["without your name" in text(answer) for answer in pressed] == [True, False, True]
    assert "without your name" in text(program.ask("GET", path))
    kept = program.api("GET", f"/api/consents/{recipient}").json()
    assert (kept["consent"], kept["how"]) == ("denied", "preferences page") and kept["at"]
    program.ask("GET", f"/o/{RING.seal(Token('open', recipient, '<open@x>', sent_at=9))}")
    assert [event["recipient"] for event in program.events(message_id="<open@x>", type="open")][:1] == [""]


MULTIPART = '--b\r\nContent-Disposition: form-data; name="tracking"\r\n\r\ndenied\r\n--b--\r\n'


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", "tracking=denied"),
        ("Application/X-WWW-Form-Urlencoded; charset=UTF-8", "x=1&tracking=denied&y="),
        ("multipart/form-data; boundary=b", MULTIPART),
        ('multipart/form-data; boundary="b"', "preamble\r\n" + MULTIPART),
    ],
)
def test_a_form_is_read(program: Program, content_type: str, body: str) -> None:
    """Urlencoded and multipart, with fields that are nothing to us."""
    assert choice_of(body.encode(), content_type) == ("tracking", "denied")
    answer = program.ask("POST", preferences("form@example.org"), body.encode(), {"Content-Type": content_type})
    assert answer.status == 200


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (FORM["Content-Type"], ""),
        (FORM["Content-Type"], "tracking=perhaps"),
        (FORM["Content-Type"], "tracking=denied&tracking=granted"),
        (FORM["Content-Type"], "tracking=denied&subscribed=yes"),
        (FORM["Content-Type"], "List-Unsubscribe=One-Click"),
        (FORM["Content-Type"], MULTIPART),
        ("", "tracking=denied"),
        ("text/plain", "tracking=denied"),
        ("application/json", '{"tracking": "denied"}'),
        ("multipart/form-data", MULTIPART),
        ("multipart/form-data; boundary=c", MULTIPART),
        ("multipart/form-data; boundary=b", MULTIPART.replace("denied", "perhaps")),
    ],
)
def test_anything_else_changes_nothing(program: Program, content_type: str, body: str) -> None:
    """400 with a page that leads back; nothing is kept."""
    headers = {"Content-Type": content_type} if content_type else {}
    answer = program.ask("POST", preferences("odd@example.org"), body.encode(), headers)
    assert (answer.status, "Nothing was changed" in text(answer)) == (400, True)
    assert program.api("GET", "/api/consents/odd@example.org").json()["at"] is None


def test_a_body_has_a_bound(program: Program) -> None:
    """One of more than 16 KiB is not read; how others are is in test_forms."""
    assert program.ask("POST", preferences("large@example.org"), bytes(16_385), FORM).status == 413


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_a_bad_token_is_404(program: Program, method: str) -> None:
    """Also one of another kind, for the same person."""
    other = RING.seal(Token("unsubscribe", "jane@example.org", "<1@x>"))
    for text_ in ("x", other):
        assert program.ask(method, f"/p/{text_}", b"tracking=denied", FORM).status == 404


def test_unsubscribing_and_subscribing_again(program: Program) -> None:
    """Both ways on this page; each is an event that names its recipient, and moves them in and out of the suppressions."""
    path = preferences("c@example.org")
    assert "you are unsubscribed from the emails from news" in text(press(program, path, "subscribed=no"))
    assert program.api("GET", "/api/suppressions/c@example.org?list=news").status == 200
    again = press(program, path, "subscribed=yes")
    assert (again.status, "you get the emails from news" in text(again)) == (200, True)
    assert program.api("GET", "/api/suppressions/c@example.org?list=news").status == 404
    assert press(program, path, "subscribed=yes").status == 200
    assert press(program, path, "subscribed=no").status == 200
    events = program.events(recipient="c@example.org")
    assert [event.get("name", event["type"]) for event in events] == ["unsubscribe", "resubscribed", "unsubscribe"]
    assert {(event["list"], event["message_id"]) for event in events} == {("news", "<c@example.org>")}
    assert program.api("GET", "/api/suppressions/c@example.org?list=news").status == 200


def test_subscribing_again_on_the_done_page(program: Program) -> None:
    """The form of the page behind the button leads to the choices of the same recipient and list."""
    said: dict[str, Any] = {"message_id": "<d@x>", "list": "weekly", "additional": {"campaign": "autumn"}}
    token = Token("unsubscribe", "d@example.org", mode="identified", **said)
    done = program.ask("POST", f"/u/{RING.seal(token)}", b"List-Unsubscribe=One-Click")
    action = re.search(r'action="\.\./p/([^"]+)"', done.body.decode())
    assert action and 'name="subscribed" value="yes"' in done.body.decode()
    sealed = RING.read("preferences", action[1])
    assert (sealed.recipient, sealed.list, sealed.mode) == ("d@example.org", "weekly", "identified")
    assert press(program, f"/p/{action[1]}", "subscribed=yes", **{"User-Agent": "Reader/1"}).status == 200
    event, _ = program.events(recipient="d@example.org")
    assert (event["type"], event["name"], event["list"], event["additional"]) == (
        "site",
        "resubscribed",
        "weekly",
        {"campaign": "autumn"},
    )
    assert (event["ip"], event["user_agent"], event["mode"]) == ("", "", "identified")


def test_what_no_token_of_ours_can_say_has_no_form(tmp_path: Path) -> None:
    """A token of Halon's with a number that is too large for ours unsubscribes all the same."""
    said = {"r": "joe@example.org", "m": "<halon@x>"}
    with Program(tmp_path, '[halon]\nsecrets = { 1 = "a secret of Halon\'s" }\n') as program:
        plain = program.ask("POST", f"/u/{halon_token(said)}")
        large = program.ask("POST", f"/u/{halon_token({**said, 'a': {'n': 10**30}})}")
        assert [(answer.status, b"<form" in answer.body) for answer in (plain, large)] == [(200, True), (200, False)]


def test_a_post_to_unsubscribe_is_what_it_was(program: Program) -> None:
    """Whatever its body says: no field of a form makes it anything else (RFC 8058)."""
    path = f"/u/{RING.seal(Token('unsubscribe', 'e@example.org', '<e@x>', list='news'))}"
    assert press(program, path, "subscribed=yes").status == 200
    assert program.api("GET", "/api/suppressions/e@example.org?list=news").status == 200


def test_whoever_objects_is_not_shown_in_the_event(program: Program) -> None:
    """With a consent that was withdrawn, subscribing again names the recipient and nothing of the reader."""
    path = preferences("f@example.org")
    for choice in ("tracking=denied", "subscribed=no", "subscribed=yes"):
        assert press(program, path, choice, **{"User-Agent": "Marked/1"}).status == 200
    events = program.events(recipient="f@example.org")
    assert [event["type"] for event in events] == ["site", "unsubscribe"]
    assert {(event["ip"], event["user_agent"], event["mode"]) for event in events} == {("", "", "identified")}


def test_the_browsers_objection_is_shown(program: Program) -> None:
    """A browser that sends `Sec-GPC: 1` is told that it is heard."""
    assert "Global Privacy Control" in text(program.ask("GET", preferences("g@example.org"), headers={"Sec-GPC": "1"}))


def test_names_are_text(program: Program) -> None:
    """What stands in a token is text on the page, whatever it looks like: markup, or a place of a word."""
    path = preferences("<script>alert(1)</script>@x", list='{recipient}"><b>')
    for answer in (program.ask("GET", path), press(program, path, "subscribed=no"), press(program, path, "nonsense")):
        assert b"<script" not in answer.body and b"<b>" not in answer.body
    assert "{recipient}&quot;&gt;&lt;b&gt;" in program.ask("GET", path).body.decode().replace("&#34;", "&quot;")


def test_a_letter_from_nobody_knows_when(program: Program) -> None:
    """A token without a time is of somebody who is tracked, as long as they were not forgotten."""
    assert "are recorded" in text(program.ask("GET", preferences("h@example.org", sent_at=0)))
    assert program.api("DELETE", "/api/recipients/h@example.org").status == 200
    assert "without your name" in text(program.ask("GET", preferences("h@example.org", sent_at=0)))


def test_after_being_forgotten_they_stay_unsubscribed(program: Program) -> None:
    """The page finds them under the keyed hash, and lets them back in; the API too."""
    path = preferences("i@example.org")
    assert press(program, path, "subscribed=no").status == 200
    assert program.api("DELETE", "/api/recipients/i@example.org").json()["suppressions"] == 1
    assert "you are unsubscribed" in text(program.ask("GET", path))
    hidden = program.api("GET", "/api/suppressions/i@example.org?list=news").json()
    assert re.fullmatch("[0-9a-f]{32}", hidden["recipient"])
    assert program.api("PUT", "/api/suppressions/i@example.org?list=news").json() == hidden
    assert "i@example.org" not in program.api("GET", "/api/suppressions?list=news").body.decode()
    assert "you get the emails" in text(press(program, path, "subscribed=yes"))
    assert program.api("GET", "/api/suppressions/i@example.org?list=news").status == 404
    assert press(program, path, "subscribed=no").status == 200
    assert program.api("DELETE", "/api/recipients/i@example.org").status == 200
    assert program.api("DELETE", "/api/suppressions/i@example.org?list=news").status == 204
    assert program.api("DELETE", "/api/suppressions/i@example.org?list=news").status == 404


def test_what_cannot_be_kept_is_503(tmp_path: Path) -> None:
    """With the store locked no choice is answered 200; the page's button makes the same choice again."""
    with Program(tmp_path) as program:
        path = preferences("jane@example.org")
        assert press(program, path, "subscribed=no").status == 200
        with locked(program.database):
            for choice in ("tracking=denied", "subscribed=yes", "subscribed=no"):
                answer = press(program, path, choice)
                name, _, value = choice.partition("=")
                assert answer.status == 503
                assert f'<input type="hidden" name="{name}" value="{value}">' in answer.body.decode()
            assert program.ask("GET", path).status == 200
        wait_until(lambda: program.ask("GET", "/readyz").status == 200, "what was kept meanwhile is written")
        assert press(program, path, "tracking=denied").status == 200
        assert program.api("GET", "/api/consents/jane@example.org").json()["consent"] == "denied"
        assert press(program, path, "subscribed=yes").status == 200
        assert program.api("GET", "/api/suppressions/jane@example.org?list=news").status == 404


def test_the_library_makes_the_page_s_links(program: Program) -> None:
    """What `preferences_url` gives is this page."""
    tracker = Tracker(program.base_url, [KEY], mode="anonymous")
    assert "k@example.org" in text(program.ask("GET", tracker.preferences_url("k@example.org")))


def test_nothing_of_it_is_in_the_log(program: Program) -> None:
    """No recipient, no token."""
    said = "\n".join(program.said)
    assert "@example.org" not in said and "/p/" not in said
