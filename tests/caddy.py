"""A real Caddy, with the README's configuration, on ports that the system picks and with a CA of its own."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path

from tests.program import WAITS_S, Answer, free_port, wait_until

CADDY = Path(sys.executable).parent / "caddy"


@dataclass(frozen=True, slots=True)
class Caddy:
    """One that runs before a server."""

    port: int
    root: Path
    """The certificate of its CA."""

    def ask(self, host: str, path: str, method: str = "GET") -> Answer:
        """Send a request over TLS to a host that its certificate has to name. Raises ssl.SSLError."""
        context = ssl.create_default_context(cafile=self.root)
        with (
            socket.create_connection(("127.0.0.1", self.port), WAITS_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as tls,
        ):
            tls.sendall(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = HTTPResponse(tls, method=method)
            answer.begin()
            return Answer(answer.status, answer.getheaders(), answer.read())


@contextmanager
def running(folder: Path, configuration: str, server: int) -> Iterator[Caddy]:
    """Run Caddy with a configuration for a server at port 8787, which is at another; its CA is an internal one."""
    port = free_port()
    options = f"admin off\n\tpersist_config off\n\tskip_install_trust\n\thttp_port {free_port()}\n\thttps_port {port}\n"
    written = configuration.replace(":8787", f":{server}")
    written = written.replace("{\n", f"{{\n\t{options}\tstorage file_system {folder}/caddy\n", 1)
    written = written.replace("\ttls {\n", "\ttls {\n\t\tissuer internal\n")
    (folder / "Caddyfile").write_text(written)
    with (folder / "caddy.log").open("w") as log:
        process = subprocess.Popen(
            [CADDY, "run", "--config", folder / "Caddyfile", "--adapter", "caddyfile"],
            stderr=log,
            env={**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
        )
    try:
        wait_until(lambda: is_listening(port) or process.poll() is not None, "Caddy listens")
        assert process.poll() is None, (folder / "caddy.log").read_text()
        yield Caddy(port, folder / "caddy/pki/authorities/local/root.crt")
    finally:
        process.terminate()
        process.wait(WAITS_S)


def is_listening(port: int) -> bool:
    """Say whether somebody listens at a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
