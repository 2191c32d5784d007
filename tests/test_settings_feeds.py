"""The settings of destinations by their formats, and of what came with them: keys in files, verdicts, hosts, bounds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from heardback import formats
from heardback.cli.serve import cautions
from heardback.errors import SettingsError
from heardback.events import CLASSES
from heardback.files import load
from heardback.settings import Destination, Settings, parse, toml
from heardback.settings.destinations import FEEDS, SIGNED
from heardback.signatures import new_ecdsa, public_keys

MAIN: Mapping[str, Any] = {"name": "main", "url": "https://example.com/webhook"}
WHSEC = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
WHSK = "whsk_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
PEM, PUBLIC = new_ecdsa()


def destination(**keys: object) -> Destination:
    """Give the one destination of settings that are otherwise the defaults."""
    return parse({"destinations": [{**MAIN, **keys}]}, {}).destinations[0]


def faults(tables: Mapping[str, object]) -> list[str]:
    """Give the faults of tables, less the file's name."""
    with pytest.raises(SettingsError) as caught:
        parse(tables, {})
    return [fault.removeprefix("heardback.toml: ") for fault in caught.value.faults]


def test_the_settings_know_each_format() -> None:
    """What the settings take for a format is one, and they know which of them sign and which are of one event."""
    assert {*SIGNED, "sendgrid", *FEEDS} == formats.FORMATS.keys()
    for name, each in formats.FORMATS.items():
        assert destination(format=name).format == name
        assert (each.signs == "webhooks", each.single) == (name in SIGNED, name in FEEDS)


class TestVerdicts:
    """Which verdicts a destination takes."""

    @pytest.mark.parametrize("name", formats.FORMATS)
    def test_default(self, name: str) -> None:
        """All, but of the systems that keep profiles of people what is no machine's; what is written holds."""
        people = ("human", "proxy", "unknown")
        assert destination(format=name).verdicts == (people if name in FEEDS else CLASSES)
        assert destination(format=name, verdicts=list(CLASSES)).verdicts == CLASSES
        assert destination(format=name, verdicts=["human"]).verdicts == ("human",)

    def test_faults(self) -> None:
        """A class that is none, and no class at all, are faults."""
        [one] = faults({"destinations": [{**MAIN, "verdicts": ["human", "robot"]}]})
        assert one.startswith("destinations[0].verdicts[1]: 'robot' is not known; write one of human, proxy, machine")
        [none] = faults({"destinations": [{**MAIN, "verdicts": []}]})
        assert none == (
            "destinations[0].verdicts: there is nothing in this list; write one or more of human, proxy, machine, unknown"
        )


class TestSecrets:
    """Which secrets go with which format."""

    @pytest.mark.parametrize("secret", [PEM, [PEM], "sendgrid.pem", "", []])
    def test_taken(self, secret: object) -> None:
        """A private key stands in the settings, or in a file that they name; there may be none."""
        expected = tuple(secret) if isinstance(secret, list) else (secret,) if secret else ()
        assert destination(format="sendgrid", secret=secret).secret == expected

    @pytest.mark.parametrize(
        ("more", "fault"),
        [
            ({"format": "sendgrid", "secret": WHSEC}, ".secret: this is no private key; write one in PEM, as from `"),
            ({"format": "sendgrid", "secret": [""]}, ".secret[0]: this is no private key; write one in PEM"),
            ({"format": "sendgrid", "secret": 1}, ".secret: this is a whole number; write text"),
            ({"format": "sendgrid", "secret": [PEM, PEM]}, ".secret: this format's header has room for one signature;"),
            ({"format": "sendgrid", "secret": f"-----BEGIN PUBLIC KEY-----\n{PUBLIC}"}, ".secret: this is no private"),
            (
                {"format": "sendgrid", "signing": "v1a"},
                '.signing: this does not go with format = "sendgrid"; take it out',
            ),
            ({"format": "croct", "signing": "v1a"}, '.signing: this does not go with format = "croct"; take it out'),
            ({"format": "croct", "secret": WHSEC}, '.secret: with format = "croct" nothing is signed; its credentials'),
            ({"format": "cloudevents", "secret": PEM}, ".secret: this is no Standard Webhooks secret; write whsec_"),
            ({"format": "cloudevents", "secret": WHSK}, '.secret: this does not go with signing = "v1"; write whsec_…'),
        ],
    )
    def test_refused(self, more: Mapping[str, object], fault: str) -> None:
        """A secret that cannot sign in its format is a fault that names the fix and repeats nothing of it."""
        [said] = faults({"destinations": [{**MAIN, **more}]})
        assert said.removeprefix("destinations[0]").startswith(fault)
        assert "MIG" not in said
        assert WHSEC.removeprefix("whsec_") not in said

    def test_who_is_warned(self) -> None:
        """`serve` warns where a signature could be and is not; of a format without one it says nothing."""
        made = tuple(destination(name=name, format=name) for name in formats.FORMATS)
        warned = [line.split()[1] for line in cautions(Settings(destinations=made)) if "has no secret" in line]
        assert warned == [*SIGNED, "sendgrid"]


class TestFiles:
    """What the settings name on the disk."""

    def loaded(self, folder: Path, text: str) -> Settings:
        """Load a settings file."""
        (folder / "heardback.toml").write_text(text)
        return load(folder / "heardback.toml", {}).settings

    def sendgrid(self, folder: Path, secret: str) -> Destination:
        """Load the settings of a sendgrid destination with a secret."""
        lines = ["[[destinations]]", 'name = "a"', 'url = "https://a.example"', 'format = "sendgrid"']
        return self.loaded(folder, "\n".join([*lines, f"secret = {toml(secret)}"])).destinations[0]

    @pytest.mark.parametrize("before", ["", "a comment\n\n"])
    def test_a_key_in_a_file(self, before: str, tmp_path: Path) -> None:
        """It is read, whatever stands around it: as `keys new --ecdsa` prints it, for example."""
        (tmp_path / "key.pem").write_text(f"{before}{PEM}{PUBLIC}\n")
        secret = self.sendgrid(tmp_path, str(tmp_path / "key.pem")).secret
        assert public_keys(secret) == PUBLIC

    def test_a_key_in_the_settings(self, tmp_path: Path) -> None:
        """It is the same."""
        assert public_keys(self.sendgrid(tmp_path, f"\n{PEM}").secret) == PUBLIC

    @pytest.mark.parametrize(
        ("content", "fault"),
        [
            (None, "the file with this key cannot be read (No such file or directory)"),
            (b"\xff\xfe", "the file with this key is no text"),
            (b"MIGHAgEAMBM", "this is no PEM private key"),
            (
                ec.generate_private_key(ec.SECP384R1()).private_bytes(
                    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
                ),
                "this is no ECDSA key on the curve P-256",
            ),
            (
                rsa.generate_private_key(65_537, 2_048).private_bytes(
                    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
                ),
                "this is no ECDSA key on the curve P-256",
            ),
            (
                ec.generate_private_key(ec.SECP256R1())
                .public_key()
                .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
                "this is no PEM private key",
            ),
        ],
    )
    def test_no_key(self, content: bytes | None, fault: str, tmp_path: Path) -> None:
        """What is no key, or not there, stops the start, with the fix."""
        if content is not None:
            (tmp_path / "key.pem").write_bytes(content)
        with pytest.raises(SettingsError) as caught:
            self.sendgrid(tmp_path, str(tmp_path / "key.pem"))
        [said] = caught.value.faults
        assert said.startswith(f"{tmp_path}/heardback.toml: destinations[0].secret: {fault}")
        assert said.endswith("; make one with `heardback keys new --ecdsa`")

    def test_a_key_without_its_first_line(self, tmp_path: Path) -> None:
        """It is taken for a file's name, and no fault repeats it."""
        with pytest.raises(SettingsError) as caught:
            self.sendgrid(tmp_path, PEM.splitlines()[1])
        assert PEM.splitlines()[1] not in str(caught.value)

    def test_templates(self, tmp_path: Path) -> None:
        """A directory that is named is there, or that is a fault."""
        (tmp_path / "file").touch()
        assert self.loaded(tmp_path, f'[pages]\ntemplates = "{tmp_path}"').pages.templates == str(tmp_path)
        for name in ("file", "missing"):
            with pytest.raises(SettingsError, match=r"pages\.templates: there is no such directory; name one"):
                self.loaded(tmp_path, f'[pages]\ntemplates = "{tmp_path / name}"')


BOUNDS = [
    ("rate_per_minute", 0, 1_000_000),
    ("concurrency", 1, 100),
    ("backlog_alert", 0, 1_000_000_000),
]


@pytest.mark.parametrize(("name", "low", "high"), BOUNDS)
def test_bounds(name: str, low: int, high: int) -> None:
    """Each number is taken from its lowest to its highest, and no further."""
    for value in (low, high):
        assert getattr(destination(**{name: value}), name) == value
    for value in (low - 1, high + 1):
        [fault] = faults({"destinations": [{**MAIN, name: value}]})
        assert fault.startswith(f"destinations[0].{name}: {value} is out of range")


def test_settle() -> None:
    """Verdicts settle for 0 to 20 s, well before an event goes without one."""
    assert [parse({"verdicts": {"settle_s": value}}, {}).verdicts.settle_s for value in (0, 20)] == [0.0, 20.0]
    for value in (-0.1, 20.1):
        [fault] = faults({"verdicts": {"settle_s": value}})
        assert fault.startswith(f"verdicts.settle_s: {value} is out of range")


def test_other_words() -> None:
    """Environments are two; headers that heardback sets for a format are its own."""
    assert destination(environment="dev").environment == "dev"
    [fault] = faults({"destinations": [{**MAIN, "environment": "test"}]})
    assert fault == "destinations[0].environment: 'test' is not known; write one of prod, dev"
    [fault] = faults({"destinations": [{**MAIN, "headers": {"x-twilio-email-event-webhook-signature": "a"}}]})
    assert fault.endswith("heardback sets this header itself; take it out")


def test_click_id_hosts() -> None:
    """A host, or all below one, in lower case; nothing else."""
    hosts = ["Shop.Example.com", "*.example.org", "192.0.2.1", "xn--bcher-kva.example"]
    assert parse({"tracking": {"click_id_hosts": hosts}}, {}).tracking.click_id_hosts == tuple(map(str.lower, hosts))
    wrong = ["*", "", "a.*.example", "https://a.example", "bücher.example", "a.example:80", "*.", "a b"]
    places = [fault.partition(": ")[0] for fault in faults({"tracking": {"click_id_hosts": wrong}})]
    assert places == [f"tracking.click_id_hosts[{index}]" for index in range(len(wrong))]
