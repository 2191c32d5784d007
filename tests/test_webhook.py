"""One POST to a destination over real HTTP: headers, answers, time-outs."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heardback.events import new_id
from heardback.formats import FORMATS
from heardback.stores import Batch
from heardback.webhook import (
    LONGEST_ANSWER,
    Delivered,
    Gone,
    Outcome,
    Refused,
    Retry,
    judged,
    retry_after,
)
from tests.listening import listening
from tests.posting import BATCH, SECRET, answered, post, webhook
from tests.receiver import HALF, HANGS, RESETS, Answer, Receiver


class TestRequest:
    """What a POST looks like to its receiver."""

    def test_headers(self) -> None:
        """It carries the batch's bytes and id, the time, our name and the configured headers; no signature unasked."""

        async def run() -> None:
            async with Receiver() as receiver:
                assert await post(f"{receiver.url}?a=%7Bb%7D&c=d", headers={"Authorization": "Bearer x"}) == Delivered(
                    "200"
                )
            [got] = receiver.got
            assert got.target == "/hook?a=%7Bb%7D&c=d"
            assert got.body == BATCH.body
            assert got.headers["host"] == f"localhost:{receiver.port}"
            assert got.headers["content-type"] == "application/json"
            assert got.headers["user-agent"].startswith("heardback/")
            assert got.headers["authorization"] == "Bearer x"
            assert got.headers["webhook-id"] == BATCH.id
            assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 60
            assert "webhook-signature" not in got.headers

        asyncio.run(run())

    def test_a_configured_name_replaces_ours(self) -> None:
        """A User-Agent from the settings stands alone, in whatever case it is written."""

        async def run() -> None:
            async with Receiver() as receiver:
                await post(receiver.url, headers={"user-agent": "mine/1"})
            assert receiver.got[0].headers["user-agent"] == "mine/1"

        asyncio.run(run())

    def test_no_cookie_is_kept(self) -> None:
        """What a receiver sets as a cookie does not come back, and the connection is used again."""

        async def run() -> None:
            async with Receiver([Answer(headers={"Set-Cookie": "a=b"})]) as receiver, webhook(receiver.url) as way:
                await way.post(BATCH)
                await way.post(BATCH)
            assert len(receiver.got) == 2
            assert receiver.connections == 1
            assert "cookie" not in receiver.got[1].headers

        asyncio.run(run())

    def test_no_proxy_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """HTTP_PROXY says nothing to us."""
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        assert answered(200) == Delivered("200")


class TestAnswer:
    """The table of answers."""

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [
            *((status, Delivered(str(status))) for status in (200, 201, 202, 204, 299)),
            *((status, Retry(str(status))) for status in (300, 301, 302, 304, 307, 308, 399)),
            *((status, Retry(str(status))) for status in (401, 403, 404, 408, 425, 429)),
            *((status, Retry(str(status))) for status in (500, 502, 503, 504, 599, 600, 999)),
            (410, Gone("410")),
            *((status, Refused(str(status))) for status in (400, 402, 405, 409, 413, 415, 422, 423, 451, 499)),
        ],
    )
    def test_judged(self, status: int, outcome: Outcome) -> None:
        """Each status leads where the interface says."""
        assert judged(status, None, FORMATS["heardback"]) == outcome

    @pytest.mark.parametrize("status", [200, 204, 410, 413, 500])
    def test_over_http(self, status: int) -> None:
        """A real answer is judged by its status."""
        assert answered(Answer(status, body=b"")) == judged(status, None, FORMATS["heardback"])

    def test_a_redirect_is_not_followed(self) -> None:
        """A 3xx is a failure, and its target is never asked."""

        async def run() -> None:
            async with Receiver() as target, Receiver([Answer(307, {"Location": target.url})]) as receiver:
                assert await post(receiver.url) == Retry("307")
            assert target.got == []

        asyncio.run(run())

    def test_retry_after(self) -> None:
        """What the receiver asks for comes along."""
        assert answered(Answer(429, {"Retry-After": "17"})) == Retry("429", 17.0)

    def test_a_long_answer(self) -> None:
        """An answer of any length counts by its status, and no more than our bound is read of it."""
        assert answered(Answer(200, body=b"x" * (LONGEST_ANSWER * 100))) == Delivered("200")

    def test_half_an_answer(self) -> None:
        """An answer that breaks off is none."""
        assert answered(HALF) == Retry("the connection broke (RemoteProtocolError)")

    def test_a_reset(self) -> None:
        """A connection that is closed without an answer is tried again."""
        outcome = answered(RESETS)
        assert isinstance(outcome, Retry)
        assert outcome.answer.startswith("the connection broke")

    def test_no_http(self) -> None:
        """What is no HTTP is tried again."""
        assert answered(Answer(headers={"bad header": "\0"})) == Retry("the connection broke (RemoteProtocolError)")

    def test_a_hang(self) -> None:
        """Who does not answer in time is tried again."""
        assert answered(HANGS, timeout_s=0.2) == Retry("timed out")

    def test_a_trickle(self) -> None:
        """The whole has a bound too: a byte now and then does not keep it going."""

        assert answered(Answer(every_s=0.02, body=b"x" * 1_000), timeout_s=0.5) == Retry("timed out")

    def test_nobody_takes_the_connection(self) -> None:
        """A host that lets nobody in, and says nothing, is tried again."""
        with socket.socket() as full, socket.socket() as first, socket.socket() as second:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for each in (first, second):
                each.setblocking(False)
                each.connect_ex(full.getsockname())
            url = f"http://127.0.0.1:{full.getsockname()[1]}/"
            assert asyncio.run(post(url, timeout_s=0.3)) == Retry("timed out")

    def test_a_silent_handshake(self) -> None:
        """Who takes the connection and says nothing of TLS is tried again, and hung up on at once."""

        async def run() -> Outcome:
            ended = asyncio.Event()

            async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.read()
                ended.set()

            async with listening(silent) as port, webhook(f"https://127.0.0.1:{port}/", timeout_s=0.3) as way:
                outcome = await way.post(BATCH)
                await asyncio.wait_for(ended.wait(), 20)
            return outcome

        assert asyncio.run(run()) == Retry("timed out")

    def test_nobody_reads(self) -> None:
        """A receiver that takes the connection and not the body is tried again."""
        large = Batch("msg_1", (new_id(),), 1, b"x" * 20_000_000)

        async def run() -> Outcome:
            async with webhook(f"http://127.0.0.1:{lazy.getsockname()[1]}/", timeout_s=0.3) as way:
                return await way.post(large)

        with socket.socket() as lazy:
            lazy.bind(("127.0.0.1", 0))
            lazy.listen()
            assert asyncio.run(run()) == Retry("timed out")

    def test_an_endless_answer(self) -> None:
        """An answer without an end counts by its status, as soon as our bound is read of it."""
        endless = Answer(200, {"Content-Length": str(1 << 40)}, body=b"x" * (LONGEST_ANSWER + 1))
        assert answered(endless) == Delivered("200")

    def test_nobody_there(self) -> None:
        """A closed port is tried again, and the words say so."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            outcome = asyncio.run(post(f"http://127.0.0.1:{taken.getsockname()[1]}/"))
        assert isinstance(outcome, Retry)
        assert outcome.answer.startswith("no connection: ")

    def test_cancelling_cuts_it(self) -> None:
        """A post that is cancelled ends at once."""

        async def run() -> None:
            async with Receiver([HANGS]) as receiver, webhook(receiver.url) as way:
                task = asyncio.create_task(way.post(BATCH))
                await receiver.until(lambda: bool(receiver.got))
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        asyncio.run(run())

    def test_our_own_fault(self, caplog: pytest.LogCaptureFixture) -> None:
        """What nobody thought of is tried again too, at the schedule's pace, and is logged with its place."""

        async def nonsense(host: str, port: int) -> list[str]:
            return ["this is no address"]

        outcome = asyncio.run(post("http://127.0.0.1:9/", resolve=nonsense))
        assert outcome == Retry("our own fault (ValueError)")
        assert "Traceback" in caplog.text

    def test_nothing_secret_is_said(self, caplog: pytest.LogCaptureFixture) -> None:
        """No secret, query or header gets into an answer's words or into a log."""
        caplog.set_level(logging.INFO)
        for script in (200, 500, RESETS, Answer(headers={"bad header": ""})):
            outcome = answered(script, secret=(SECRET,), headers={"Authorization": "Bearer hidden"})
            assert not {"hidden", SECRET, "whsec"} & set(outcome.answer.split())
        assert "hidden" not in caplog.text
        assert "hook" not in caplog.text


NOW = 1_700_000_000.0


class TestRetryAfter:
    """The header, in its two forms and in none."""

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("0", 0.0),
            (" 120 ", 120.0),
            ("9" * 400, float("inf")),
            (format_datetime(datetime.fromtimestamp(NOW, UTC) + timedelta(minutes=5), usegmt=True), 300.0),
            (format_datetime(datetime.fromtimestamp(NOW, UTC) - timedelta(minutes=5), usegmt=True), -300.0),
            ("Tue, 14 Nov 2023 23:13:20 +0100", 0.0),
            ("Tue, 14 Nov 2023 22:13:20 -0000", 0.0),
            ("Tue, 14 Nov 2023 22:13:20 +99999999999999999999", None),
            *((text, None) for text in ("", "soon", "-1", "1.5", "1e3", "²", "Tue, 99 Nov 2023", "1, 2", "\0")),
        ],
    )
    def test_read(self, text: str, seconds: float | None) -> None:
        """Seconds and HTTP dates are read, anything else is nothing."""
        assert retry_after(text, NOW) == seconds

    @given(st.text(max_size=60) | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ ([+-]\d+|GMT)"))
    def test_anything(self, text: str) -> None:
        """Any text at all gives a number or None."""
        assert isinstance(retry_after(text, NOW), float | None)
