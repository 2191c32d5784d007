"""Signatures of batches: Standard Webhooks' `v1` with a shared secret and `v1a` with a pair of keys, and SendGrid's.

Pure. Which secrets a destination may have is in settings; what is signed when is in webhook.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

SHARED, PRIVATE, PUBLIC = "whsec_", "whsk_", "whpk_"
PEM = "-----BEGIN "
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
    """Give what receivers verify with: the public key of each private one, spaces between; none of shared secrets."""
    return " ".join(public_key(secret) for secret in secrets if secret.startswith((PRIVATE, PEM)))


def public_key(secret: str) -> str:
    """Give a `whpk_` key of a `whsk_` one, and of a PEM private key what SendGrid calls its verification key.

    That is the base64 of a SubjectPublicKeyInfo in DER: a PEM public key without its first and last line.
    """
    if secret.startswith(PRIVATE):
        return PUBLIC + written(key_pair(secret).public_key().public_bytes_raw())
    return written(ecdsa_key(secret).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def key_pair(secret: str) -> Ed25519PrivateKey:
    """Read a `whsk_` key."""
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(secret.removeprefix(PRIVATE))[:SEED])


def sendgrid(pem: str, timestamp: int, body: bytes) -> str:
    """Write `X-Twilio-Email-Event-Webhook-Signature`, of what stands in `-Timestamp` (Unix seconds) and the body."""
    return written(ecdsa_key(pem).sign(str(timestamp).encode() + body, ECDSA(SHA256())))


def ecdsa_key(pem: str) -> EllipticCurvePrivateKey:
    """Read a PEM private key for ECDSA P-256; raise ValueError, repeating nothing of it, on anything else."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("this is no PEM private key without a password") from None
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return key
    raise ValueError("this is no ECDSA key on the curve P-256")


def new_ecdsa() -> tuple[str, str]:
    """Make a pair of keys for SendGrid's signatures: the private one as PEM, and the public one."""
    key = generate_private_key(SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
    return pem, public_key(pem)


def written(data: bytes) -> str:
    """Write bytes as base64."""
    return base64.b64encode(data).decode("ascii")
