"""Signatures: the specification's vector, and real POSTs that others' libraries verify."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks
import svix.webhooks
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from heardback.dispatcher import overview
from heardback.errors import SettingsError
from heardback.settings import Destination, parse
from heardback.signatures import public_keys, signature
from heardback.webhook import Delivered
from tests.deliveries import clicks, opened, through
from tests.posting import OTHER, SECRET, post
from tests.receiver import Got, Receiver

SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
"""The first key of RFC 8032, section 7.1."""
PRIVATE_KEY = f"whsk_{base64.b64encode(SEED).decode()}"
PUBLIC_KEY = f"whpk_{base64.b64encode(PUBLIC).decode()}"
OTHER_PRIVATE_KEY = f"whsk_{base64.b64encode(bytes(32)).decode()}"

NPM = Path(os.environ.get("NPM_OF_TESTS", "none"))
"""A folder where npm installed standardwebhooks, as `.ci/run` does."""
NODE_VERIFIES = """
const { Webhook } = require("standardwebhooks");
const { secret, body, headers } = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(new Webhook(secret).verify(body, headers).length);
"""


def posted(*secrets: str, signing: str = "v1", tmp_path: Path) -> Got:
    """Give the POST that a receiver got of 30 events, sent as the server sends them."""

    async def run() -> Got:
        async with Receiver() as receiver:
            await through(tmp_path, receiver, clicks(30), secret=secrets, signing=signing)
        [got] = receiver.got
        return got

    return asyncio.run(run())


def standard(secret: str, got: Got) -> None:
    """Verify with PyPI's standardwebhooks."""
    assert len(standardwebhooks.Webhook(secret).verify(got.body, dict(got.headers))) == 30


def svixs(secret: str, got: Got) -> None:
    """Verify with PyPI's svix."""
    svix.webhooks.Webhook(secret).verify(got.body, dict(got.headers))


def npms(secret: str, got: Got) -> None:
    """Verify with npm's standardwebhooks."""
    given = json.dumps({"secret": secret, "body": got.body.decode(), "headers": dict(got.headers)})
    done = subprocess.run(["node", "-e", NODE_VERIFIES], cwd=NPM, input=given, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(done.stderr)
    assert done.stdout == "30\n"


needs_npm = pytest.mark.skipif(
    not (shutil.which("node") and (NPM / "node_modules" / "standardwebhooks").is_dir()),
    reason="NPM_OF_TESTS names no folder with npm's standardwebhooks",
)
VERIFIERS = [standard, svixs, pytest.param(npms, marks=needs_npm)]
Verifier = Callable[[str, Got], None]


class TestShared:
    """`v1`: HMAC-SHA256 with a secret that both ends know."""

    def test_the_vector_of_the_specification(self) -> None:
        """The specification's own example comes out."""
        made = signature([SECRET], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
        assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    def test_two_secrets_give_two_signatures(self) -> None:
        """While a secret rotates each of them signs, with a space between."""
        both = signature([SECRET, OTHER], "msg_1", 1, b"[]")
        assert both == f"{signature([SECRET], 'msg_1', 1, b'[]')} {signature([OTHER], 'msg_1', 1, b'[]')}"

    @pytest.mark.parametrize("verify", VERIFIERS)
    def test_others_verify(self, verify: Verifier, tmp_path: Path) -> None:
        """While a secret rotates, a receiver takes the POST with either, and with no other secret or body."""
        got = posted(SECRET, OTHER, tmp_path=tmp_path)
        verify(SECRET, got)
        verify(OTHER, got)
        for secret, other in (
            ("whsec_" + "B" * 32, got),
            (SECRET, Got(got.target, got.headers, got.body + b" ")),
            (SECRET, Got(got.target, {**got.headers, "webhook-id": "msg_1"}, got.body)),
        ):
            with pytest.raises((standardwebhooks.WebhookVerificationError, ValueError), match="No matching signature"):
                verify(secret, other)


class TestKeyPair:
    """`v1a`: ed25519 with a key that only the sender has."""

    def test_the_key_of_rfc_8032(self) -> None:
        """The RFC's private key has the RFC's public key, also where it is written with it, as libsodium does."""
        whole = f"whsk_{base64.b64encode(SEED + PUBLIC).decode()}"
        assert public_keys([PRIVATE_KEY]) == public_keys([whole]) == PUBLIC_KEY
        assert public_keys([SECRET]) == ""

    def test_the_public_key_verifies(self, tmp_path: Path) -> None:
        """A receiver that has the public keys alone verifies the POST, and no other."""
        got = posted(PRIVATE_KEY, OTHER_PRIVATE_KEY, signing="v1a", tmp_path=tmp_path)
        keys = public_keys([PRIVATE_KEY, OTHER_PRIVATE_KEY]).split(" ")
        signatures = got.headers["webhook-signature"].split(" ")
        assert len(keys) == len(signatures) == 2
        for key, made in zip(keys, signatures, strict=True):
            verified(key, made, got, got.body)
            with pytest.raises(InvalidSignature):
                verified(key, made, got, got.body + b" ")
        with pytest.raises(InvalidSignature):
            verified(keys[1], signatures[0], got, got.body)

    def test_who_knows_v1_alone_refuses_it(self, tmp_path: Path) -> None:
        """A receiver that looks for a shared secret's signature finds none."""
        got = posted(PRIVATE_KEY, signing="v1a", tmp_path=tmp_path)
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(SECRET).verify(got.body, dict(got.headers))

    def test_operators_are_shown_the_public_key(self, tmp_path: Path) -> None:
        """Who looks at the deliveries gets what receivers verify with; the private key is nowhere in it."""
        url = "https://example.com/webhook"
        pair = Destination("pair", url, secret=(PRIVATE_KEY,), signing="v1a")
        shared = Destination("shared", url, secret=(SECRET,))

        async def run() -> list[dict[str, Any]]:
            async with opened(tmp_path) as store:
                return await overview(store, [pair, shared])

        first, second = asyncio.run(run())
        assert first["public_key"] == PUBLIC_KEY
        assert PRIVATE_KEY.removeprefix("whsk_") not in str(first)
        assert "public_key" not in second


def verified(key: str, made: str, got: Got, body: bytes) -> None:
    """Verify as the specification says: `id.timestamp.body`; raise InvalidSignature."""
    version, text = made.split(",")
    assert version == "v1a"
    signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + body
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix("whpk_")))
    public.verify(base64.b64decode(text), signed)


class TestSettings:
    """Which secrets go with which signing."""

    @pytest.mark.parametrize(
        ("signing", "secrets"),
        [("v1", []), ("v1", [SECRET, OTHER]), ("v1a", [PRIVATE_KEY]), ("v1a", [PRIVATE_KEY, OTHER_PRIVATE_KEY])],
    )
    def test_taken(self, signing: str, secrets: Sequence[str]) -> None:
        """Shared secrets go with v1, and need not be; private keys with v1a."""
        assert parse(tables(signing, secrets), {}).destinations[0].secret == tuple(secrets)

    @pytest.mark.parametrize(
        ("signing", "secrets", "fix"),
        [
            ("v1", [PRIVATE_KEY], "write whsec_…"),
            ("v1", [SECRET, PRIVATE_KEY], "write whsec_…"),
            ("v1a", [SECRET], "write whsk_…"),
            ("v1a", [], "write whsk_…"),
            ("v2", [SECRET], "write one of v1, v1a"),
            ("v1a", ["whsk_" + "A" * 44], "whsk_ and the base64 of 32"),
            ("v1a", ["whsk_"], "whsk_ and the base64 of 32"),
        ],
    )
    def test_refused(self, signing: str, secrets: Sequence[str], fix: str) -> None:
        """A secret of the wrong kind, length or absence stops the start, with the fix and without the secret."""
        with pytest.raises(SettingsError) as caught:
            parse(tables(signing, secrets), {})
        assert fix in str(caught.value)
        assert not [secret for secret in secrets if secret.partition("_")[2] and secret in str(caught.value)]


def tables(signing: str, secrets: Sequence[str]) -> dict[str, Any]:
    """Write the settings of a destination that signs."""
    return {"destinations": [{"name": "a", "url": "https://a.example", "signing": signing, "secret": list(secrets)}]}


def test_no_secret_no_signature() -> None:
    """Without a secret there is an id and a time, and no signature."""

    async def run() -> None:
        async with Receiver() as receiver:
            assert await post(receiver.url) == Delivered("200")
        [got] = receiver.got
        assert {name for name in got.headers if name.startswith("webhook-")} == {"webhook-id", "webhook-timestamp"}

    asyncio.run(run())
