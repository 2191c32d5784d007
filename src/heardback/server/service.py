"""What systemd is told by a service of `Type=notify`: see sd_notify(3). Nothing, where it did not start us."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping


def notify(state: str, environ: Mapping[str, str]) -> None:
    """Send a state, `READY=1`, to the socket that the environment names; a service manager that is away is no fault."""
    path = environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(state.encode(), f"\0{path[1:]}" if path.startswith("@") else path)
