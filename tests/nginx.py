"""A real nginx with a configuration and a port of its own, in the foreground of a folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.program import wait_until

FOUND = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")

MAIN = """\
daemon off; user root; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  proxy_cache_path {folder}/cache keys_zone=cache:1m;
  limit_req_zone $server_name zone=few:1m rate=1r/m;
{http}
}}
"""


@contextmanager
def nginx(folder: Path, port: int, http: str) -> Iterator[None]:
    """Run nginx, which listens at a port, with this in its `http` block."""
    assert FOUND
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, http=http))
    process = subprocess.Popen([FOUND, "-p", folder, "-e", folder / "error.log", "-c", folder / "nginx.conf"])
    try:
        wait_until(lambda: process.poll() is not None or listens(port), "nginx listens")
        assert process.poll() is None, (folder / "error.log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(10)


def listens(port: int) -> bool:
    """Say whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
