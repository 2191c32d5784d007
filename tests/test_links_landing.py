"""The click id: a target gains one parameter and loses nothing, and no other host is ever told."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heardback.links import target
from heardback.links.landing import host, listed, told

TOKEN = "AcQy-_0.x"
HOSTS = {"good.example", "*.below.example", "::1", "192.0.2.1"}

READS = """
const lines = require("readline").createInterface({ input: process.stdin });
lines.on("line", (line) => {
  let found = null;
  try {
    const url = new URL(JSON.parse(line));
    found = { rest: [url.protocol, url.username, url.password, url.host, url.pathname, url.hash],
              hostname: url.hostname, query: [...url.searchParams] };
  } catch {}
  console.log(JSON.stringify(found));
});
"""

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here; .ci/run installs it")


@pytest.mark.parametrize(
    ("url", "landing"),
    [
        ("https://x.example", "https://x.example?hb=T"),
        ("https://x.example/", "https://x.example/?hb=T"),
        ("https://x.example/a?b", "https://x.example/a?b&hb=T"),
        ("https://x.example/a?", "https://x.example/a?hb=T"),
        ("https://x.example/a??", "https://x.example/a??&hb=T"),
        ("https://x.example/a?b=1&", "https://x.example/a?b=1&hb=T"),
        ("https://x.example/a&", "https://x.example/a&?hb=T"),
        ("https://x.example/a#b?c#d", "https://x.example/a?hb=T#b?c#d"),
        ("https://x.example/a?b=%zz|+#", "https://x.example/a?b=%zz|+&hb=T#"),
        ("https://x.example/?#&", "https://x.example/?hb=T#&"),
        ("https://x.example/?hb=old", "https://x.example/?hb=old&hb=T"),
    ],
)
def test_the_parameter_is_the_last_of_the_query(url: str, landing: str) -> None:
    """It stands before the fragment, joined as it has to be."""
    assert told(url, "T") == landing


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://Good.Example", "good.example"),
        ("HTTP://good.example:8080/x", "good.example"),
        ("https://good.example:/", "good.example"),
        ("https://u:p@good.example/", "good.example"),
        ("https://a@b@good.example", "good.example"),
        ("https:\\\\good.example\\x", "good.example"),
        ("https:////good.example", "good.example"),
        ("https://[::1]:80/", "::1"),
        ("https://good.example@evil.example/", "evil.example"),
        ("https://good.example:x@evil.example/", "evil.example"),
        ("https://evil.example\\@good.example/", "evil.example"),
        ("https://evil.example/@good.example/", "evil.example"),
        ("https://evil.example?@good.example/", "evil.example"),
        ("https://evil.example#@good.example/", "evil.example"),
        ("https://good.example.evil.example/", "good.example.evil.example"),
        ("https://good.example./", "good.example."),
        ("https://good%2eexample/", ""),
        ("https://good.example:80:90/", ""),
        ("https://good.example /", ""),
        ("https://good\t.example/", ""),
        ("https://göod.example/", ""),
        ("https://", ""),
        ("ftp://good.example/", ""),
        ("mailto:x@good.example", ""),
        ("//good.example/", ""),
        ("https:good.example/", ""),
        ("x https://good.example/", ""),
    ],
)
def test_a_host_is_what_browsers_take_for_it(url: str, found: str) -> None:
    """Less user, port and brackets, in lower case; nothing where readers of URLs might differ."""
    assert host(url) == found


@pytest.mark.parametrize(
    ("url", "is_listed"),
    [
        ("https://good.example/", True),
        ("https://GOOD.example:8443/", True),
        ("https://www.good.example/", False),
        ("https://notgood.example/", False),
        ("https://a.below.example/", True),
        ("https://a.b.below.example/", True),
        ("https://below.example/", False),
        ("https://notbelow.example/", False),
        ("https://[::1]/", True),
        ("https://192.0.2.1:80/", True),
        ("https://192.0.2.10/", False),
        ("https://good.example@evil.example/", False),
        ("", False),
    ],
)
def test_a_star_is_all_below(url: str, is_listed: bool) -> None:
    """And not the host itself, nor one that only ends like it."""
    assert listed(url, HOSTS) is is_listed
    assert not listed(url, ())


authorities = st.sampled_from(
    [
        *("good.example", "GOOD.example:443", "good.example.", "x.below.example", "below.example", "evil.example"),
        *("good.example@evil.example", "evil.example:80@good.example", "evil.example\\@good.example", "good%2Eexample"),
        *("good.example:80", "good.example%00.evil.example", "xn--bcher-kva.example", "[::1]", "0x7f.1", "192.0.2.1"),
    ]
) | st.text("good.example@:/\\?#[]%", max_size=20)
rests = st.lists(
    st.sampled_from([*"/?#&=;+%\\@:|{}^`\"'<>[]() ~", "hb=", "%zz", "%23", "a=1", "&amp;", "é", "/../", "//"])
    | st.text(max_size=3),
    max_size=12,
).map("".join)
urls = (
    st.builds("{}{}{}".format, st.sampled_from(["https://", "HTTP:\\\\", "http:/\\"]), authorities, rests)
    .map(target)
    .filter(lambda found: not found[1])
    .map(lambda found: found[0])
)


@given(urls | st.text())
def test_all_else_stays_byte_for_byte(url: str) -> None:
    """Of any text: what was put in is one parameter in one place, and without it the target is as it was signed."""
    landing = told(url, TOKEN)
    at = len(url.partition("#")[0])
    inserted = landing[at : len(landing) - len(url) + at]
    assert landing == url[:at] + inserted + url[at:]
    assert inserted.lstrip("?&") == f"hb={TOKEN}" and len(inserted) <= len(TOKEN) + 4


@pytest.fixture(scope="module")
def browser() -> Iterator[Callable[[str], Any]]:
    """Read URLs as browsers do: Node has the same reader (WHATWG URL)."""
    with subprocess.Popen(["node", "-e", READS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as node:

        def read(url: str) -> Any:
            assert node.stdin and node.stdout
            print(json.dumps(url), file=node.stdin, flush=True)
            return json.loads(node.stdout.readline())

        yield read


@needs_node
@given(url=urls)
def test_browsers_see_one_parameter_more(browser: Callable[[str], Any], url: str) -> None:
    """The same host, path and fragment, the same query and then ours; and a listed host is where they go."""
    before, after = browser(url), browser(told(url, TOKEN))
    if before is None:  # what was signed leads nowhere, and so does this
        assert after is None
        return
    assert after["rest"] == before["rest"]
    assert after["query"] == [*before["query"], ["hb", TOKEN]]
    if listed(url, HOSTS):
        name = before["hostname"].strip("[]")
        assert name in HOSTS or name.endswith(".below.example")
