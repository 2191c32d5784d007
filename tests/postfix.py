"""A real Postfix with a configuration, a queue and ports of its own, which uses the relay as its content filter."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from tests.program import free_port

MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = mta.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_dns_support_level = disabled
relayhost = [127.0.0.1]:{sink}
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
"""

GUIDE = """\
content_filter = heardback:[127.0.0.1]:{relay}
heardback_destination_recipient_limit = 1
"""
"""What README says of main.cf."""

MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

GUIDE_MASTER = """\
heardback unix - - n - 10 smtp
127.0.0.1:{back} inet n - n - 10 smtpd
  -o content_filter=
  -o mynetworks=127.0.0.0/8
  -o smtpd_recipient_restrictions=permit_mynetworks,reject
  -o smtpd_milters=
  -o receive_override_options=no_header_body_checks,no_unknown_recipient_checks
"""
"""What README says of master.cf."""


@dataclass(slots=True)
class Postfix:
    """A Postfix that listens at `port`, takes letters back at `back` and delivers to a sink."""

    relay: int
    sink: int
    port: int = field(default_factory=free_port)
    back: int = field(default_factory=free_port)
    # Not pytest's: into that one the other users, whose processes these are, cannot look.
    place: TemporaryDirectory[str] = field(default_factory=lambda: TemporaryDirectory(prefix="postfix-"))

    @property
    def folder(self) -> Path:
        """Give where all of it lives."""
        return Path(self.place.name)

    def __enter__(self) -> Self:
        """Write the configuration and start."""
        self.folder.chmod(0o755)
        (self.folder / "data").mkdir()
        (self.folder / "queue").mkdir()
        subprocess.run(["chown", "postfix", self.folder / "data"], check=True)
        names = {"folder": self.folder, "sink": self.sink, "relay": self.relay, "port": self.port, "back": self.back}
        (self.folder / "main.cf").write_text((MAIN + GUIDE).format(**names))
        (self.folder / "master.cf").write_text((MASTER + GUIDE_MASTER).format(**names))
        self._command("start")
        return self

    def __exit__(self, *_: object) -> None:
        """Stop every process of it."""
        self._command("stop")
        self.place.cleanup()

    def _command(self, name: str) -> None:
        done = subprocess.run(["postfix", "-c", self.folder, name], capture_output=True, text=True, timeout=30)
        log = self.folder / "log"
        assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")
