"""The connection itself: is there one, and would a mail program trust it?"""

from __future__ import annotations

import ssl
from typing import Any

from heardback.doctor.causes import nobody
from heardback.doctor.findings import Finding, ok, wrong
from heardback.doctor.probe import Probe, trouble, unverified

LEFT = 1 / 6
"""How much of a certificate's life is left at least: what renews itself does so at a third."""
DAY_S = 86_400

CHAIN = {
    "nginx": "`ssl_certificate` is the full chain, `fullchain.pem` of most issuers, for the `server_name` of base_url",
    "Caddy": "the site's address is the host of base_url; then it gets its certificate itself",
}
RENEWAL = {
    "nginx": "have certbot, or what else renews it, run, and `nginx -s reload` after it",
    "Caddy": "its log says why the certificate is not renewed; ports 80 and 443 must reach it",
}
PLAIN = {
    "heardback": "set base_url to an https address",
    "nginx": "`listen 443 ssl;` with `ssl_certificate` and `ssl_certificate_key`",
    "Caddy": "a site address with a host name and without `http://`",
}


def connection(probe: Probe) -> Finding:
    """Connect."""
    try:
        with probe.connected(unverified()) as line:
            return ok("connection", f"{probe.host} is at {line.getpeername()[0]}")
    except OSError as error:
        return wrong("connection", f"{probe.host} cannot be reached: {trouble(error)}", nobody(probe))


def tls(probe: Probe) -> Finding:
    """Look at the certificate as a mail program does: issuer, host name, time."""
    if probe.parts.scheme == "http":
        says = "base_url is not https: mail programs offer one-click unsubscribing over https alone (RFC 8058)"
        return wrong("tls", says, PLAIN)
    try:
        with probe.connected(ssl.create_default_context()) as line:
            assert isinstance(line, ssl.SSLSocket)
            return lasting(line.getpeercert() or {}, probe.clock())
    except OSError as error:
        reason = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else trouble(error)
        return wrong("tls", f"the certificate is not valid: {reason}", CHAIN)


def lasting(certificate: dict[str, Any], now: float) -> Finding:
    """Say how long a valid certificate is valid."""
    begins, ends = (ssl.cert_time_to_seconds(certificate[name]) for name in ("notBefore", "notAfter"))
    left = f"{int((ends - now) / DAY_S)} days" if ends - now > 2 * DAY_S else f"{int((ends - now) / 3_600)} hours"
    if ends - now < (ends - begins) * LEFT:
        return wrong("tls", f"the certificate ends in {left} and was not renewed", RENEWAL)
    return ok("tls", f"the certificate is valid, for {left} more")
