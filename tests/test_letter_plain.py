"""URLs in plain text, which are tracked by a rule."""

from urllib.parse import unquote

import pytest

from tests.letters import KEYRING, PLAIN, URL, doors, letter, multi, part, rewritten, says


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("See https://example.com/a.", ["https://example.com/a"]),
        ("(https://example.com/a_(b)), really?", ["https://example.com/a_(b)"]),
        ("https://example.com/?q=[1]! *HTTP://example.com/b*", ["https://example.com/?q=[1]", "HTTP://example.com/b"]),
        ("<https://example.com/a> and \"https://example.com/b\"", ["https://example.com/a", "https://example.com/b"]),
        ("xhttps://example.com/ ftp://example.com example.com", []),
        ("https://example.com/{{id}} https://t.example.com/c/x https://u:p@example.com/", []),
        ("[one](https://example.com/a)[x] (https://example.com/b).", ["https://example.com/a", "https://example.com/b"]),
        ("<https://example.com/wrapped\n/here>", []),
        ("詳細は「https://example.com/a」、https://example.com/b。次\uff08https://example.com/c\uff09", [f"https://example.com/{c}" for c in "abc"]),
        ("https://日本.example/ または https://example.com/äh", ["https://xn--wgv71a.example/", "https://example.com/%C3%A4h"]),
        ("詳細はhttps://example.com/aをご覧ください", []),
        ("https://example.com를 보세요 https://example.com/위키 ดูhttps://example.com/ที่นี่", []),
        ("https://example.com/a\u200bb", ["https://example.com/a"]),
        ("https://", []),
    ],
)  # fmt: skip
def test_urls_in_plain_text(text: str, urls: list[str]) -> None:
    """By a rule they are tracked, without the punctuation around them."""
    raw = letter(part("text/plain; charset=utf-8", text))
    result = rewritten(raw, PLAIN)
    assert [link.url for link in result.links if link.tracked] == urls
    assert all(link.tracked != bool(link.reason) for link in result.links)
    rest = iter(urls)
    back = URL.sub(lambda _: unquote(next(rest)).replace("xn--wgv71a", "日本").encode(), says(result.letter, "1"))
    assert back == says(raw, "1")
    assert doors(rewritten(raw).letter) == ""


def test_flowed_text_that_joins_its_lines_keeps_its_urls_whole() -> None:
    """With delsp a URL may go on in the next line; without it, it ends with its line."""
    text = "https://example.com/ \nlong\n"
    joined = rewritten(letter(part("text/plain; format=flowed; delsp=yes", text)), PLAIN)
    assert [link.reason for link in joined.links] == ["goes on in the next line"]
    assert rewritten(letter(part("text/plain; format=flowed", text)), PLAIN).links[0].tracked


def test_plain_text_in_an_alternative_has_links_of_its_own() -> None:
    """With their own indexes, and no pixel."""
    raw = letter(multi("alternative", "a", part("text/plain", "https://example.com/ x"), part("text/html")))
    result = rewritten(raw, PLAIN)
    assert (doors(says(result.letter, "1")), doors(says(result.letter, "2"))) == ("c", "co")
    tokens = [KEYRING.read("click", token.decode()) for door, token in URL.findall(result.letter) if door == b"c"]
    assert [token.link for token in tokens] == [0, 1]
