"""Signatures of batches as Standard Webhooks has them: `v1` with a shared secret, `v1a` with a pair of keys.

Pure. Which secrets a destination may have is in settings; what is signed when is in webhook.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SHARED, PRIVATE, PUBLIC = "whsec_", "whsk_", "whpk_"
SEED = 32
"""Bytes of an ed25519 private key. Some write its public key behind it, which is not needed."""


def signature(secrets: Sequence[str], batch_id: str, timestamp: int, body: bytes) -> str:
    """Write `webhook-signature`: one for each secret, spaces between; `timestamp` is in Unix seconds."""
    signed = f"{batch_id}.{timestamp}.".encode() + body
    return " ".join(signed_with(secret, signed) for secret in secrets)


def signed_with(secret: str, signed: bytes) -> str:
    """Sign with one secret, of either kind."""
    if secret.startswith(PRIVATE):
        return f"v1a,{written(key_pair(secret).sign(signed))}"
    return f"v1,{written(hmac.digest(base64.b64decode(secret.removeprefix(SHARED)), signed, 'sha256'))}"


def public_keys(secrets: Sequence[str]) -> str:
    """Give what receivers verify `v1a` with: a `whpk_` key for each private key, spaces between."""
    pairs = [key_pair(secret) for secret in secrets if secret.startswith(PRIVATE)]
    return " ".join(PUBLIC + written(pair.public_key().public_bytes_raw()) for pair in pairs)


def key_pair(secret: str) -> Ed25519PrivateKey:
    """Read a `whsk_` key."""
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(secret.removeprefix(PRIVATE))[:SEED])


def written(data: bytes) -> str:
    """Write bytes as base64."""
    return base64.b64encode(data).decode("ascii")
