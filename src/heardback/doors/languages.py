"""Which language a visitor is answered in, and the words of each: `templates/words/LANGUAGE.toml`.

What is said with them, and where, is in pages and in the templates.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

Words = Mapping[str, str]
"""By `PAGE.NAME`; a word may hold places like `{recipient}`."""

DEFAULT = "en"

LONGEST = 1_000
"""Characters of Accept-Language that are looked at."""

RANGE = re.compile(
    r"\s*(\*|[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*[Qq]\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?"
)


def chosen(accept: str, languages: Collection[str]) -> str:
    """Give the language, of those there are, that an Accept-Language header wants most (RFC 9110, section 12.5.4).

    A range is cut from its end until a language has its name (RFC 4647, section 3.4); `*` is any that was not ruled
    out. English where nothing fits.
    """
    ranges = list(ranges_of(accept[:LONGEST]))
    ruled_out = {name for name, quality in ranges if quality == 0}
    there = [DEFAULT, *(each for each in languages if each != DEFAULT)]
    for name, quality in sorted(ranges, key=lambda each: -each[1]):
        if quality and (found := next(fitting(name, there, ruled_out), None)):
            return found
    return DEFAULT


def ranges_of(accept: str) -> Iterator[tuple[str, float]]:
    """Give the language ranges of a header in lower case, each with its quality; what is none is passed over."""
    for part in accept.split(","):
        if match := RANGE.fullmatch(part):
            yield match[1].lower(), float(match[2] or 1)


def fitting(name: str, languages: Sequence[str], ruled_out: Collection[str]) -> Iterator[str]:
    """Give the languages that a range asks for, the best first."""
    subtags = name.split("-")
    wanted = ["-".join(subtags[:count]) for count in range(len(subtags), 0, -1)]
    yield from (each for each in languages if name == "*" and each not in ruled_out)
    yield from (each for each in wanted if each in languages)


def read(folders: Sequence[Path]) -> dict[str, Words]:
    """Read the words of every language from folders of templates, those of an earlier folder in the place of a later's.

    Raises ValueError, naming the file, where one cannot be read, or a language lacks words that English has.
    """
    languages: dict[str, Words] = {}
    for folder in reversed(folders):
        for file in sorted((folder / "words").glob("*.toml")):
            languages[file.stem] = {**languages.get(file.stem, {}), **words_of(file)}
    for language, words in languages.items():
        if missing := languages[DEFAULT].keys() - words.keys():
            raise ValueError(f"words/{language}.toml lacks {', '.join(sorted(missing))}")
    return languages


def words_of(file: Path) -> Words:
    """Read one file of words. Raises ValueError, naming it."""
    try:
        said = tomllib.loads(file.read_text("utf-8"))
        return {f"{page}.{name}": str(word) for page, words in said.items() for name, word in words.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(f"words/{file.name} cannot be read: {error}") from None
