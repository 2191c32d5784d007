"""The README's service: its unit pleases systemd, its nginx and its Caddy pass everything on as it is."""

from __future__ import annotations

import configparser
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from heardback import doctor
from heardback.doctor import Probe
from heardback.server.service import notify
from heardback.settings import parse
from heardback.tracker import Tracker
from tests.authority import Authority
from tests.nginx import FOUND, listens, nginx
from tests.program import KEY, WAITS_S, Program, free_port, wait_until
from tests.test_readme import marked

SCRIPTS = Path(sys.executable).parent
HOST = "t.example.com"
TARGET = "https://shop.example.com//a/../b?q=%7C|{}&u=%2F%C3%A9#top"


def test_systemd_is_told_when_readers_are_answered(tmp_path: Path) -> None:
    """A service of `Type=notify` is ready once it listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(WAITS_S)
        with Program(tmp_path, environ={"NOTIFY_SOCKET": str(tmp_path / "notify")}, fresh=True) as program:
            assert manager.recv(99) == b"READY=1"
            assert program.ask("GET", "/healthz").status == 200


def test_an_abstract_socket_is_told_too() -> None:
    """A name that begins with @ stands in no folder; and where there is nobody, nothing happens."""
    name = f"heardback-{free_port()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.settimeout(WAITS_S)
        notify("READY=1", {"NOTIFY_SOCKET": f"@{name}"})
        assert manager.recv(99) == b"READY=1"
    notify("READY=1", {"NOTIFY_SOCKET": f"@{name}"})
    notify("READY=1", {})


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_finds_nothing_in_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` knows every line of it."""
    unit = tmp_path / "heardback.service"
    unit.write_text(marked("systemd unit").replace("/opt/heardback/bin/", f"{SCRIPTS}/"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "heardback" in line]
    assert ours == [] and done.returncode == 0


def test_the_unit_runs_what_there_is() -> None:
    """Its command is one of ours, and it is given more time to end than the server takes."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation says
    unit.read_string(marked("systemd unit"))
    service = unit["Service"]
    assert service["ExecStart"].split()[1] == "serve"
    assert service["Type"] == "notify" and int(service["TimeoutStopSec"]) > 12


@pytest.mark.skipif(not FOUND, reason="needs Debian's nginx")
@pytest.mark.parametrize("path", ["", "/mail"])
def test_the_doctor_is_content_with_nginx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Over TLS, at the root and below a path: redirects, pixel, caches, one-click, addresses are as they should be."""
    authority, port = Authority(tmp_path), free_port()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    pem = authority.issue(HOST)
    with Program(tmp_path, path=path) as program:
        http = (
            marked("nginx example")
            .replace("127.0.0.1:8787", f"127.0.0.1:{program.port}")
            .replace("listen 443", f"listen 127.0.0.1:{port}")
            .replace("location / {", f"location {path}/ {{")
        )
        http = re.sub(r"/etc/ssl/t\.example\.com\.\w+", str(pem), http)
        with nginx(tmp_path, port, http):
            url, database = f"https://{HOST}:{port}{path}", f"sqlite:///{program.database}"
            settings = parse({"base_url": url, "keys": [KEY], "database": database}, {})
            found = list(doctor.examine(settings, Probe.of(settings, resolve="127.0.0.1", source="127.0.0.2")))
    assert len(found) > 15
    # the doctor has no letter of ours to look at, and that is all
    assert [finding.check for finding in found if finding.state != "ok"] == ["letter"]


@contextmanager
def caddy(folder: Path, port: int, site: str) -> Iterator[None]:
    """Run Caddy with a site, over HTTP at a port; its configuration is valid as it stands in the README, too."""
    (folder / "Caddyfile").write_text(site)
    environ = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    given = ["--adapter", "caddyfile", "--config"]
    subprocess.run([SCRIPTS / "caddy", "validate", *given, folder / "Caddyfile"], check=True, capture_output=True)
    plain = site.replace(HOST, f"http://127.0.0.1:{port}")
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n\tpersist_config off\n}}\n{plain}")
    process = subprocess.Popen(
        [SCRIPTS / "caddy", "run", *given, folder / "Caddyfile"], env=environ, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: listens(port) or process.poll() is not None, "Caddy listens")
        yield
    finally:
        process.terminate()
        process.wait(WAITS_S)


@pytest.mark.parametrize("path", ["", "/mail"])
def test_everything_goes_through_caddy(tmp_path: Path, path: str) -> None:
    """Pixel, click and one-click unsubscribe, the target byte for byte, the reader's address and not Caddy's."""
    front = free_port()
    with Program(tmp_path, path=path) as program:
        site = marked("caddy site").replace("127.0.0.1:8787", f"127.0.0.1:{program.port}")
        site = site.replace("reverse_proxy", f"reverse_proxy {path}/*") if path else site
        tracker = Tracker(f"http://127.0.0.1:{front}{path}", [KEY])
        with caddy(tmp_path, front, site):
            reader = Program(tmp_path, port=front)
            pixel = reader.ask("GET", tracker.open_url("jane@example.org"))
            click = reader.ask("GET", tracker.click_url(TARGET, "jane@example.org"))
            gone = reader.ask(
                "POST", tracker.unsubscribe_url("jane@example.org"), b"List-Unsubscribe=One-Click",
                {"X-Forwarded-For": "198.51.100.7"},
            )  # fmt: skip
        assert (pixel.status, len(pixel.body)) == (200, 43) and "no-store" in pixel.header("cache-control")
        assert (click.status, click.header("location")) == (302, TARGET)
        assert gone.status == 200
        events = program.events()
    assert sorted(event["type"] for event in events) == ["click", "open", "unsubscribe"]
    assert {event["ip"] for event in events} == {"127.0.0.1"}, "Caddy passes nobody's own word on"


def test_several_workers_are_ready_together(tmp_path: Path) -> None:
    """systemd hears of it once, from the process that it started."""
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        with Program(tmp_path, "workers = 2", environ={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as program:
            listener = threading.Thread(target=lambda: heard.append(manager.recv(99)), daemon=True)
            listener.start()
            url = Tracker(program.base_url, [KEY]).open_url("jane@example.org")
            wait_until(lambda: program.ask("GET", url).status == 200, "an answer")
            listener.join(WAITS_S)
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.recv(99)
    assert heard == [b"READY=1"]
