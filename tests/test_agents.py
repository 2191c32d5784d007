"""What a user agent says of its maker."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heardback.signals.agents import FAMILIES, LONGEST, browser, family
from heardback.verdict import BY_AGENT
from tests.conftest import CORPORA

CORPUS = CORPORA / "user-agents.jsonl"
MACHINES = {word for word, verdict in BY_AGENT.items() if verdict.cls == "machine"}
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"

PROXIES = (
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "Mozilla/5.0 (Windows; U; Windows NT 5.1; de; rv:1.9.0.7) Gecko/2009021910 Firefox/3.0.7 (via ggpht.com GoogleImageProxy)",
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Edge/12.246 Mozilla/5.0 (via ggpht.com GoogleImageProxy)",
    "GoogleImageProxy",
    "googleimageproxy/2.1",
    "GOOGLEIMAGEPROXY (+https://support.google.com/mail/answer/145919)",
    "Google-Image-Proxy/1.0 bot",
    "Mozilla/5.0 Google Image Proxy",
    "Mozilla/4.0 (compatible; GoogleImageProxy; via ggpht.com)",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
    "yahoomailproxy/3",
    "Mozilla/5.0 (compatible; YAHOOMAILPROXY; +https://help.yahoo.com/)",
    "Yahoo! Mail Proxy 1.1",
    "YahooCacheSystem",
    "YahooCacheSystem; YahooWebServiceClient",
    "yahoocachesystem/1.0 (crawler)",
    "ymailproxy: Yahoo-Mail-Proxy",
    "OutlookImageProxy/1.0",
)
PERSONS = {
    "browser": (
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME}",
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Edg/131.0.0.0",
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
        f"Mozilla/5.0 (Linux; Android 14; CUBOT X90) {CHROME}",
        f"Mozilla/5.0 (Linux; Android 9; Forum http://phones.example/ Build/PQ3A) {CHROME}",
        f"Mozilla/5.0 (Linux; Android 13; SM-G991B; wv) {CHROME} Viber/20.1",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21F79 [FBAN/FBIOS;FBAV/470.0]",
        "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; .NET CLR 3.5.30729)",
        "Mozilla/5.0 (compatible; Konqueror/4.14; Linux) KHTML/4.14.2 (like Gecko)",
        "Opera/9.80 (J2ME/MIDP; Opera Mini/7.1.32052/29.3709; U; en) Presto/2.8.119 Version/11.10",
        "Nokia6120c/3.83; Profile/MIDP-2.0 Configuration/CLDC-1.1",
        "Lynx/2.9.0 libwww-FM/2.14 SSL-MM/1.4.1 GNUTLS/3.8.3",
        "w3m/0.5.3+git20230121",
    ),
    "mail client": (
        "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17928; Pro)",
        "Mozilla/4.0 (compatible; ms-office; MSOffice 16)",
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.4.0",
        "Outlook-iOS/731.4047.prod.iphone (4.2443.0)",
        "Outlook-Android/2.0",
        "Airmail/5.7 (Macintosh)",
        "The Bat! 11.3",
        "eM Client/10.1.4828.0",
        "Evolution/3.52.4",
        "Mail/3826.200.121 CFNetwork/1568.200.51 Darwin/24.1.0",
        "Lotus-Notes/6.0 (Windows-NT)",
        "SomebodysMail/2.1",
    ),
    "application": (
        "Reader/12 CFNetwork/1410.0.3 Darwin/22.6.0",
        "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/UD1A.231105.004)",
    ),
    "bare": ("Mozilla/5.0", " Mozilla/5.0 "),
    "none": ("", "  "),
}
NOBODYS = {
    "mail prefetch": (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0",
    ),
    "link checker": (
        "LinkChecker/10.5.0 (+https://linkchecker.github.io/linkchecker/)",
        "W3C-checklink/5.0.0 libwww-perl/6.72",
        "lychee/0.15.1",
        "Mozilla/5.0 (Windows NT 10.0) Barracuda Sentinel (EE)",
        "Microsoft Office Word 2014",
        "Microsoft-WebDAV-MiniRedir/10.0.19045",
    ),
    "http library": (
        "python-requests/2.32.3",
        "Python-urllib/3.12",
        "curl/8.9.1",
        "Wget/1.24.5",
        "Go-http-client/1.1",
        "Java/17.0.9",
        "okhttp/4.12.0",
        "axios/1.7.7",
        "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
        "Apache-HttpClient/4.5.14 (Java/21)",
        "GuzzleHttp/7",
        "PostmanRuntime/7.42.0",
    ),
    "crawler": (
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        f"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) {CHROME} (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "facebookexternalhit/1.1",
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        f"Mozilla/5.0 (X11; Linux x86_64) {CHROME.replace('Chrome', 'HeadlessChrome')}",
        "Feedly/1.0 (+http://www.feedly.com/fetcher.html; like FeedFetcher-Google)",
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} info@scans.example",
        "UptimeRobot/2.0",
    ),
    "program": (
        "Mozilla/5.0 (compatible; SomethingNew/0.1)",
        "Mozilla/5.0 (SomethingNew/1.0)",
        "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko; SomethingNew) Chrome/131.0.0.0 Safari/537.36",
        "SomethingNew",
        "<class 'agent'>",
    ),
}


def cases(groups: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    """Give each agent with its word."""
    return ((word, agent) for word, agents in groups.items() for agent in agents)


@pytest.mark.parametrize("agent", PROXIES)
def test_a_mail_proxy_is_no_bot(agent: str) -> None:
    """Servers that ask for a reader's mail client are known in any spelling, though the list of bots names them."""
    assert family(agent) == "mail proxy"


@pytest.mark.parametrize(("word", "agent"), [*cases(PERSONS), *cases(NOBODYS)])
def test_an_agent_has_its_word(word: str, agent: str) -> None:
    """Browsers, mail clients and telephones are told from what crawls, checks and fetches."""
    assert family(agent) == word


def test_edge_twelve_was_a_browser() -> None:
    """Gmail's prefetch is Edge 12 with a tail; without it, it is Edge 12."""
    assert family(NOBODYS["mail prefetch"][0].removesuffix(" Mozilla/5.0")) == "browser"


def test_every_word_has_a_verdict() -> None:
    """What agents may say, verdict knows, and nothing else."""
    assert set(FAMILIES) == set(BY_AGENT)


@given(st.text(max_size=80))
def test_any_text_is_an_agent(text: str) -> None:
    """Whatever stands in the header, the word is of the closed list."""
    assert family(text) in FAMILIES
    assert len(browser(text)) < 20


def test_a_long_agent_is_cut() -> None:
    """What stands behind the first thousand characters is not looked at."""
    assert family(f"Mozilla/5.0 (Windows NT 10.0) {'x' * LONGEST} Googlebot/2.1") == "browser"


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME}", "chrome windows"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Edg/131.0.0.0", "edge windows"),
        (f"Mozilla/5.0 (Linux; Android 10; K) {CHROME}", "chrome android"),
        (PERSONS["browser"][3], "safari iphone"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0", "firefox linux"),
        ("Nokia6120c", "other other"),
    ],
)
def test_a_browser_has_two_words(agent: str, words: str) -> None:
    """Name and system tell one browser from another, without telling one reader from another."""
    assert browser(agent) == words


def rows(label: str) -> list[dict[str, str]]:
    """Give the corpus' rows of a label."""
    found = [json.loads(line) for line in CORPUS.read_text("utf-8").splitlines()]
    return [row for row in found if row["label"] == label]


@pytest.mark.parametrize("corpus", [CORPUS] if CORPUS.exists() else [], ids=["user-agents"])
def test_the_corpus_is_told_apart(corpus: object) -> None:
    """Nearly all bots are machines, nearly no people's agents are, no mail client is, and proxies are proxies."""
    bots, people, proxies = rows("bot"), rows("human"), rows("proxy")
    assert sum(family(row["ua"]) in MACHINES for row in bots) >= 0.97 * len(bots)
    assert sum(family(row["ua"]) in MACHINES for row in people) <= 0.005 * len(people)
    assert not [row for row in people if "mail-client" in row["class"] and family(row["ua"]) in MACHINES]
    assert {family(row["ua"]) for row in proxies} == {"mail proxy"}
