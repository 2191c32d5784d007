"""The servers that are measured: how each is had, run and asked. Constant answers, other trackers, heardback itself."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from heardback.tokens import DOORS, Keyring, Kind, Token
from tests.bench.contestants import environment
from tests.bench.door.apps.floor import seal
from tests.bench.door.apps.naive import TOKENS
from tests.bench.door.load import SERVER, on_core
from tests.conftest import ROOT
from tests.program import KEY, Program, free_port, wait_until

APPS = Path(__file__).with_name("apps")
ASGI = ("uvicorn", "uvloop", "httptools")
QUIET = ("--no-access-log", "--log-level", "warning")
NUMBERS = range(250_000)
"""Of the letters' readers: so many different tokens."""

NGINX = "nginx empty_gif, access log"
UVICORN = "uvicorn, constant ASGI answer"
NAIVE = "naive: itsdangerous + aiosqlite"
PYTRACKING = "pytracking + Django + gunicorn"

NGINX_CONF = """
daemon off; worker_processes 1; pid nginx.pid; error_log error.log;
events {{ worker_connections 4096; }}
http {{
  access_log access.log combined; keepalive_requests 1000000000;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {{ listen 127.0.0.1:{port} backlog=2048; location /o/ {{ empty_gif; }} }}
}}
"""

PYTRACKED = """
import sys, pytracking
for number in range(int(sys.argv[1])):
    said = {"recipient": f"{number:08x}@mail.example.org", "message_id": f"<{number:08x}.4711@mail.example.com>"}
    said["additional"] = {"campaign": "autumn"}
    print(pytracking.get_open_tracking_url(said, base_open_tracking_url="/o/"))
"""


@dataclass(frozen=True, slots=True)
class Door:
    """What is asked of a server."""

    name: str
    method: str
    status: int
    paths: Callable[[], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    pid: int
    port: int


@dataclass(frozen=True, slots=True)
class Server:
    """Somebody to be measured."""

    name: str
    run: Callable[[Path], AbstractContextManager[Running]]
    """In a folder of its own, as long as the context lasts. Raises OSError or CalledProcessError where it cannot be had."""
    doors: Sequence[Door]


def everybody() -> Sequence[Server]:
    """Give all that are measured, heardback last."""
    pixel = [Door("pixel", "GET", 200, partial(tokens, "open"))]
    return [
        Server(NGINX, nginx, pixel),
        Server("granian, constant ASGI answer", partial(program, granian), pixel),
        Server(UVICORN, partial(program, uvicorn), pixel),
        Server("Starlette, one route, constant", partial(program, starlette), pixel),
        Server(NAIVE, partial(program, evening), [Door("pixel", "GET", 200, signed)]),
        Server(PYTRACKING, partial(program, pytracking), [Door("pixel", "GET", 200, pytracked)]),
        Server(
            "floor: signed token, no index",
            partial(program, partial(floor, "plain")),
            [Door("pixel", "GET", 200, bare)],
        ),
        Server("floor + heardback's token, record", partial(program, partial(floor, "concealed")), pixel),
        Server("floor + heardback's table too", partial(program, partial(floor, "stored")), pixel),
        Server("heardback, fast_path = false", partial(heardback, settings="fast_path = false"), pixel),
        Server(
            "heardback",
            heardback,
            [
                *pixel,
                Door("click", "GET", 302, partial(tokens, "click")),
                Door("unsubscribe", "POST", 200, partial(tokens, "unsubscribe")),
            ],
        ),
    ]


def granian(_: Path, port: int) -> Sequence[str | Path]:
    """Give granian's command for the bare callable."""
    python = environment("granian", "granian")
    return [
        python.with_name("granian"),
        "--interface",
        "asgi",
        "--port",
        str(port),
        "--no-ws",
        "--log-level",
        "error",
        "bare:app",
    ]


def uvicorn(_: Path, port: int) -> Sequence[str | Path]:
    """Give uvicorn's command for the bare callable."""
    return [environment("uvicorn", *ASGI), "-m", "uvicorn", "--port", str(port), *QUIET, "bare:app"]


def starlette(_: Path, port: int) -> Sequence[str | Path]:
    """Give uvicorn's command for one route."""
    return [environment("starlette", "starlette", *ASGI), "-m", "uvicorn", "--port", str(port), *QUIET, "routed:app"]


def evening(folder: Path, port: int) -> Sequence[str | Path]:
    """Give uvicorn's command for the naive tracker."""
    python = environment("naive", "starlette", "itsdangerous", "aiosqlite", *ASGI)
    return [
        *("env", f"NAIVE_DATABASE={folder / 'naive.db'}"),
        *(python, "-m", "uvicorn", "--port", str(port), *QUIET, "naive:app"),
    ]


def pytracking(_: Path, port: int) -> Sequence[str | Path]:
    """Give gunicorn's command for pytracking's view: with threads, for its other workers keep no connection."""
    python = environment("pytracking-django", "pytracking[django]==0.2.2", "gunicorn")
    kept = ("--worker-class", "gthread", "--threads", "4", "--worker-connections", "1000", "--keep-alive", "30")
    return [python, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", *kept, "--log-level", "warning", "pytracked:app"]


def floor(stage: str, folder: Path, port: int) -> Sequence[str | Path]:
    """Give the command of the least that a durable pixel takes, with so much of heardback in it."""
    return [sys.executable, "floor.py", str(port), folder / "floor.db", stage, KEY]


@contextmanager
def program(command: Callable[[Path, int], Sequence[str | Path]], folder: Path) -> Iterator[Running]:
    """Run what listens at a port that is free now."""
    port = free_port()
    line = command(folder, port)
    with on_core(SERVER):
        process = subprocess.Popen(line, cwd=APPS, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers_at(port) or process.poll() is not None, f"{line[0]} listens")
        assert process.poll() is None, "it ended at once"
        yield Running(process.pid, port)
    finally:
        process.terminate()
        process.wait()


def answers_at(port: int) -> bool:
    """Say whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def nginx(folder: Path) -> Iterator[Running]:
    """Run nginx with the one worker that the core has room for."""
    if not (found := shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")):
        raise FileNotFoundError("nginx is not installed: apt-get install nginx-light")

    def command(folder: Path, port: int) -> Sequence[str | Path]:
        (folder / "nginx.conf").write_text(NGINX_CONF.format(port=port))
        return [found, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]

    with program(command, folder) as running:
        yield running


@contextmanager
def heardback(folder: Path, settings: str = "") -> Iterator[Running]:
    """Run `heardback serve`: SQLite, `synchronous=FULL`, concealed tokens, everything else as it is by default."""
    with ExitStack() as stack:
        with on_core(SERVER):
            ours = stack.enter_context(Program(folder, settings, fresh=True))
        assert ours.process
        yield Running(ours.process.pid, ours.port)


def reader(number: int) -> tuple[str, str]:
    """Give the recipient and the Message-ID of a copy: in an order that is not the alphabet's, as readers come."""
    scattered = f"{number * 2_654_435_761 % 2**32:08x}"
    return f"{scattered}@mail.example.org", f"<{scattered}.4711@mail.example.com>"


def tokens(kind: Kind) -> Iterator[str]:
    """Give paths with heardback's own tokens."""
    ring = Keyring([KEY])
    for number in NUMBERS:
        url = (
            f"https://www.example.com/shop/autumn/coats/{number % 60}?utm_source=newsletter" if kind == "click" else ""
        )
        yield f"/{DOORS[kind]}/" + ring.seal(
            Token(
                kind,
                *reader(number),
                url=url,
                link=number % 60 if url else None,
                list="weekly",
                sent_at=1_763_800_000,
                additional={"campaign": "autumn"},
            )
        )


def signed() -> Iterator[str]:
    """Give paths with the naive tracker's tokens."""
    return (f"/o/{TOKENS.dumps(said(number))}" for number in NUMBERS)


def bare() -> Iterator[str]:
    """Give paths with tokens that are only signed."""
    return (f"/o/{seal(said(number))}" for number in NUMBERS)


def said(number: int) -> Mapping[str, object]:
    """Give what others' tokens say of a copy."""
    recipient, message_id = reader(number)
    return {"recipient": recipient, "message_id": message_id, "additional": {"campaign": "autumn"}}


def pytracked() -> Iterator[str]:
    """Give paths with pytracking's own encoding, which signs nothing."""
    python = environment("pytracking-django", "pytracking[django]==0.2.2", "gunicorn")
    done = subprocess.run(
        [python, "-c", PYTRACKED, str(len(NUMBERS))], capture_output=True, text=True, check=True, cwd=ROOT
    )
    yield from done.stdout.splitlines()
