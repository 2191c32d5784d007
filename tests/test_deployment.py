"""What is shown of deployments, held to the code: the image, and the guide's compose file and nginx in front of three."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from heardback.cli import COMMANDS
from heardback.settings import TABLE, Settings, parse, variable
from heardback.tracker import Tracker
from tests.cluster import HASH_KEY, Node
from tests.conftest import ROOT
from tests.nginx import FOUND, nginx
from tests.postgres import PostgresServer
from tests.program import API_TOKEN, KEY, Program, free_port
from tests.relaying import certificate
from tests.test_readme import marked

VARIABLES = {variable(row.name) for row in TABLE}


def instructions() -> list[tuple[str, str]]:
    """Read the Dockerfile: each instruction and what it says."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


IMAGE = instructions()
LAST = IMAGE[max(number for number, (name, _) in enumerate(IMAGE) if name == "FROM") :]
"""The stage that is shipped."""


def said(name: str) -> str:
    """Give what the last stage says once."""
    [found] = [value for each, value in LAST if each == name]
    return found


class TestImage:
    """The Dockerfile, as far as it can be held to without Docker."""

    def test_what_it_is_built_from(self) -> None:
        """All that is copied is there and is not ignored; the extras exist; the Python is one that we run on."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        copied = {
            path for name, value in IMAGE if name == "COPY" and "--from" not in value for path in value.split()[:-1]
        }
        assert copied == kept
        assert all((ROOT / path).exists() for path in copied)
        [extras] = re.findall(r'install --no-cache-dir "\.\[(.*)\]"', "\n".join(value for _, value in IMAGE))
        assert {"relay", "postgres", "nats"} <= set(extras.split(",")) <= set(project["optional-dependencies"])
        versions = {value.split()[0] for name, value in IMAGE if name == "FROM"}
        assert versions == {"python:3.13-slim"}
        assert f"Programming Language :: Python :: {versions.pop()[7:11]}" in project["classifiers"]

    def test_who_it_runs_as(self) -> None:
        """It runs as an account of its own, which has the working directory."""
        [made] = [value for name, value in LAST if name == "RUN"]
        user = said("USER")
        assert made.startswith("useradd --system ") and f" {user} && " in made
        assert made.endswith(f"install -d -o {user} -m 0700 {said('WORKDIR')}")
        assert said("VOLUME") == said("WORKDIR")

    def test_what_it_does(self) -> None:
        """It listens where it says, at the ports that are the defaults, and serves unless told otherwise."""
        environ = dict(pair.split("=", 1) for pair in said("ENV").split())
        assert {name for name in environ if name.startswith("HEARDBACK_")} <= VARIABLES
        settings = parse({}, environ)
        ports = settings.server.port, int(Settings().relay.listen.rpartition(":")[2])
        assert (settings.server.host, settings.server.port) == ("0.0.0.0", Settings().server.port)
        assert said("EXPOSE") == " ".join(map(str, ports))
        [command] = json.loads(said("CMD"))
        assert (json.loads(said("ENTRYPOINT")), command in COMMANDS) == (["heardback"], True)

    def test_its_health(self, tmp_path: Path) -> None:
        """The health check passes beside a server that answers, and fails beside none."""
        program, *arguments = json.loads(said("HEALTHCHECK").partition(" CMD ")[2])
        assert program == "python"
        with Program(tmp_path) as server:
            environ = {**os.environ, "HEARDBACK_SERVER_PORT": str(server.port)}
            assert subprocess.run([sys.executable, *arguments], env=environ).returncode == 0
        assert subprocess.run([sys.executable, *arguments], env=environ, capture_output=True).returncode != 0


class TestCompose:
    """The guide's compose file."""

    @pytest.fixture
    def compose(self) -> Mapping[str, Any]:
        """Read it."""
        read: Mapping[str, Any] = yaml.safe_load(marked("compose"))
        return read

    def test_what_a_tracker_is_told(self, compose: Mapping[str, Any]) -> None:
        """Each variable is a setting's, all of them together are settings that serve takes, and so is the command."""
        trackers = [each for name, each in compose["services"].items() if name.startswith("tracker-")]
        assert len(trackers) == 3
        secrets = {"HEARDBACK_KEYS": KEY, "HEARDBACK_API_TOKEN": API_TOKEN, "POSTGRES_PASSWORD": "p"}
        for tracker in trackers:
            environ = {
                name: re.sub(r"\$\{(\w+)\}", lambda found: secrets.get(found[1], HASH_KEY), value)
                for name, value in tracker["environment"].items()
            }
            assert set(environ) <= VARIABLES
            settings = parse({}, environ)
            assert settings.keys and settings.api_token and settings.privacy.hash_key
            assert settings.database == "postgresql://heardback:p@postgres/heardback"
            assert tracker["command"] in COMMANDS
            assert (tracker["build"], (ROOT / "Dockerfile").exists()) == (".", True)

    def test_who_knows_whom(self, compose: Mapping[str, Any]) -> None:
        """Whoever is waited for, mounted or trusted is there; the database has the name and the user of the URL."""
        services = compose["services"]
        for each in services.values():
            assert set(each.get("depends_on", ())) <= set(services)
            named = {volume.partition(":")[0] for volume in each["volumes"] if not volume.startswith("./")}
            assert named <= set(compose["volumes"])
        assert services["postgres"]["environment"]["POSTGRES_USER"] == "heardback"
        assert services["postgres"]["healthcheck"]["test"][1] == "pg_isready"
        [network] = compose["networks"]["default"]["ipam"]["config"]
        trusted = services["tracker-1"]["environment"]["HEARDBACK_SERVER_TRUSTED_PROXIES"]
        assert network["subnet"] == trusted
        servers = re.findall(r"server ([\w-]+):(\d+)", marked("nginx"))
        assert servers == [(name, "8787") for name in services if name.startswith("tracker-")]
        assert "./nginx.conf:/etc/nginx/conf.d/default.conf:ro" in services["proxy"]["volumes"]


def site_of(folder: Path, port: int, nodes: list[Node]) -> str:
    """Give the guide's configuration with our trackers, port and certificate."""
    numbers = count()
    site = re.sub(r"tracker-\d:8787", lambda _: f"127.0.0.1:{nodes[next(numbers)].program.port}", marked("nginx"))
    mine, key = certificate(folder)
    site = site.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    return site.replace("/etc/nginx/tls/fullchain.pem", str(mine)).replace("/etc/nginx/tls/privkey.pem", str(key))


@pytest.mark.skipif(not FOUND, reason="needs nginx")
def test_three_behind_nginx(postgres_of_its_own: PostgresServer, tmp_path: Path) -> None:
    """Readers and buttons are answered while one tracker after the other is killed, over TLS, with their own addresses."""
    nodes = [Node.of(tmp_path / str(number), postgres_of_its_own.url(), "") for number in range(3)]
    (folder := tmp_path / "nginx").mkdir()
    port, tracker = free_port(), Tracker("https://t.example.com", [KEY])
    with nginx(folder, port, site_of(folder, port, nodes)):
        for node in nodes:
            node.start()
        try:
            for killed, node in enumerate(nodes):
                for number in range(9):
                    recipient = f"{killed}-{number}@example.org"
                    assert status(port, "GET", tracker.open_url(recipient)) == 200
                    assert status(port, "POST", tracker.unsubscribe_url(recipient)) == 200
                events = nodes[-1].program.events()
                if node is not nodes[-1]:
                    node.kill()
        finally:
            assert nodes[-1].program.stop() == 0
    assert len(events) == 54
    assert {event["ip"] for event in events} == {"127.0.0.1"}


@pytest.fixture
def postgres_of_its_own() -> Iterator[PostgresServer]:
    """Give a server whose own database may be used."""
    with PostgresServer(fsync="off") as made:
        yield made


def status(port: int, method: str, url: str) -> int:
    """Ask nginx over TLS, as a reader of t.example.com does; give the status."""
    path = url.removeprefix("https://t.example.com")
    wanted = "curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, "-H", "Host: t.example.com"
    done = subprocess.run([*wanted, f"https://127.0.0.1:{port}{path}"], capture_output=True, text=True)
    return int(done.stdout)
