"""Letters a second: a 50 KB newsletter with 60 links, rewritten by heardback and by pytracking 0.2.2.

CPU milliseconds a letter, as the operating system accounts them. pytracking signs nothing; heardback signs and conceals.
"""

from __future__ import annotations

import textwrap
from typing import Any

from tests.bench.contestants import Contestant, environment, rounds, table, this

ROUNDS, LETTERS, LINKS, SIZE = 7, 120, 60, 50_000

TIMED = f"""
import sys, time
html = sys.stdin.read()
def timed(work):
    for _ in range(5):
        work()
    began = time.process_time()
    for _ in range({LETTERS}):
        work()
    print((time.process_time() - began) / {LETTERS} * 1000)
"""

PYTRACKING = """
from pytracking.html import adapt_html
said = {"recipient": "jane@example.org", "message_id": "<1@example.com>"}
urls = {"base_open_tracking_url": "https://t.example.com/o/", "base_click_tracking_url": "https://t.example.com/c/"}
timed(lambda: adapt_html(html, said, **urls))
"""

OURS = """
from heardback import Tracker
tracker = Tracker("https://t.example.com", ["2026a:0123456789abcdef0123456789abcdef"])
head = b"From: a@example.com\\r\\nTo: jane@example.org\\r\\nMessage-ID: <1@example.com>\\r\\nContent-Type: text/html; charset=utf-8\\r\\n\\r\\n"
letter = head + html.encode()
"""

DOCUMENT = 'timed(lambda: tracker.rewrite_html(html, "jane@example.org", message_id="<1@example.com>"))'
LETTER = 'timed(lambda: tracker.rewrite(letter, "jane@example.org"))'
MANY = """
people = [f"{{number}}@example.org" for number in range({people})]
rounds = {letters} // len(people)
began = time.process_time()
for _ in range(rounds):
    for _ in tracker.rewrite_many(letter, people):
        pass
print((time.process_time() - began) / (rounds * len(people)) * 1000)
"""

FLOOR = """
from heardback.tokens import Keyring, Token
from selectolax.lexbor import LexborHTMLParser
ring = Keyring(["2026a:0123456789abcdef0123456789abcdef"])
urls = [node.attributes["href"] for node in LexborHTMLParser(html).css("a[href]")]
tokens = [Token("click", "jane@example.org", "<1@example.com>", url, n, sent_at=1763800000) for n, url in enumerate(urls)]
tokens.append(Token("open", "jane@example.org", "<1@example.com>", sent_at=1763800000))
def work():
    LexborHTMLParser(html)
    for token in tokens:
        ring.seal(token)
timed(work)
"""

BY_HAND = """
from selectolax.lexbor import LexborHTMLParser
said = {"message_id": "<1@example.com>", "sent_at": 1763800000}
urls = [node.attributes["href"] for node in LexborHTMLParser(html).css("a[href]")]
def work():
    LexborHTMLParser(html)
    for number, url in enumerate(urls):
        tracker.click_url(url, "jane@example.org", link=number, **said)
    tracker.open_url("jane@example.org", **said)
timed(work)
"""

ROW = (
    '<tr><td style="padding:12px 24px;font-family:Arial,Helvetica,sans-serif;font-size:15px;line-height:22px;color:#333" '
    'align="left" valign="top"><p style="margin:0 0 12px">{n}. The autumn coats are in, &amp; in three colours.</p>'
    '<a class="button" style="color:#fff;text-decoration:none" href="https://www.example.com/shop/autumn/coats/{n}'
    '?utm_source=newsletter&amp;utm_medium=email&amp;utm_campaign=autumn&amp;item={n}"><img width="260" height="180" '
    'src="https://img.example.com/{n}.jpg" alt="Coat {n}" border="0"></a></td></tr>\n'
)
HEAD = '<!doctype html>\n<html lang="en"><head><title>Autumn</title><style>td{padding:0}</style></head><body><table>\n'
FILLER = '<tr><td style="font-size:1px;line-height:1px">&nbsp;</td></tr>\n'
TAIL = "</table></body></html>\n"


def newsletter() -> str:
    """Write the newsletter, in lines of some 60 bytes: the median of the corpora's documents of this size is 61."""
    rows = (textwrap.wrap(ROW.format(n=n), 72, break_long_words=False, break_on_hyphens=False) for n in range(LINKS))
    text = HEAD + "".join(f"{line}\n" for row in rows for line in row)
    return text + FILLER * ((SIZE - len(text + TAIL)) // len(FILLER)) + TAIL


def many(people: int) -> str:
    """Give the code that writes one letter for so many people, a few times over."""
    return MANY.format(people=people, letters=max(people, 5 * LETTERS))


def measure() -> dict[str, Any]:
    """Run the rounds and print the table."""
    html = newsletter()
    other = environment("pytracking", "pytracking[html]==0.2.2")
    contestants = [
        Contestant("pytracking 0.2.2, document, unsigned", other, TIMED + PYTRACKING, html),
        Contestant("heardback, document", this(), TIMED + OURS + DOCUMENT, html),
        Contestant("heardback, letter", this(), TIMED + OURS + LETTER, html),
        *(
            Contestant(f"heardback, letter, rewrite_many of {people}", this(), TIMED + OURS + many(people), html)
            for people in (20, 500)
        ),
        Contestant("Tracker.click_url for each + lexbor parse", this(), TIMED + OURS + BY_HAND, html),
        Contestant("Keyring.seal for each + lexbor parse", this(), TIMED + FLOOR, html),
    ]
    print(f"{len(html)} bytes, {LINKS} links, {ROUNDS} rounds of {LETTERS} letters, CPU a letter")
    figures = table(rounds(contestants, ROUNDS), "ms", "pytracking 0.2.2, document, unsigned")
    print(f"a letter at {len(html) / figures['heardback, letter']['median'] / 1000:.0f} MB/s")
    return figures
