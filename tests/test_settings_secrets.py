"""Secrets in settings: no fault and no traceback repeats one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from heardback.errors import SettingsError
from heardback.settings import Destination, Halon, parse, variable

KEY = "2026a:a secret of enough letters"
WHSEC = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
MAIN = {"name": "main", "url": "https://example.com/webhook"}

SECRET_PLACES: Mapping[str, Any] = {
    "keys": lambda secret: {"keys": [secret, f"{secret}:short", f"{secret}:{secret}"] * 2},
    "api_token": lambda secret: {"api_token": f"{secret} {secret}"},
    "halon": lambda secret: {"halon": {"secrets": {secret: "1", "1": ""}}},
    "webhook": lambda secret: {"destinations": [{**MAIN, "secret": [secret, f"whsec_{secret}"], "name": ""}]},
    "header": lambda secret: {"destinations": [{**MAIN, "headers": {"Authorization": f"{secret}\n", "Host": secret}}]},
    "urls": lambda secret: {
        "base_url": f"https://u:{secret}@example.com",
        "database": f"postgresql://u:{secret}@h",
        "destinations": [{**MAIN, "url": f"https://u:{secret}@example.com:x"}],
    },
}


@pytest.mark.parametrize("place", SECRET_PLACES)
def test_no_fault_repeats_a_secret(place: str) -> None:
    """Faults go to a log; what is wrong with a secret is said without it."""
    tables = SECRET_PLACES[place]("éQZXJ?")
    variables = {variable(name): value if isinstance(value, str) else json.dumps(value) for name, value in flat(tables)}
    for given_tables, environ in ((tables, {}), ({}, variables)):
        with pytest.raises(SettingsError) as caught:
            parse(given_tables, environ)
        assert "QZX" not in str(caught.value)


def flat(tables: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Give tables as pairs of a setting's name and its value."""
    sections = {"privacy", "halon"}
    top = [(name, value) for name, value in tables.items() if name not in sections]
    return top + [(f"{name}.{key}", tables[name][key]) for name in sections & tables.keys() for key in tables[name]]


def test_a_traceback_shows_no_secret() -> None:
    """The repr of settings leaves the secret ones out."""
    settings = replace(
        parse(
            {}, {"HEARDBACK_KEYS": KEY, "HEARDBACK_API_TOKEN": "a-token-of-length", "HEARDBACK_PRIVACY_HASH_KEY": KEY}
        ),
        halon=Halon({1: "halon's"}),
        destinations=(Destination("main", MAIN["url"], secret=(WHSEC,), headers={"X-Key": "header's"}),),
    )
    shown = repr(settings)
    assert not [text for text in (KEY, "a-token", "halon's", WHSEC, "header's", "X-Key") if text in shown]
    assert "https://example.com/webhook" in shown
