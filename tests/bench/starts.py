"""How long it takes to begin: the library's import, `heardback rewrite` of a small letter, `serve` until it is ready.

Wall-clock milliseconds of whole processes, beside those of a Python that does nothing.
"""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import Any

from tests.bench.contestants import Contestant, rounds, table, this

ROUNDS = 15
BARE = "python -c pass"

PROCESS = """
import os, subprocess, sys, time
given = sys.stdin.buffer.read()
os.environ["HEARDBACK_KEYS"] = "2026a:0123456789abcdef0123456789abcdef"
began = time.perf_counter()
subprocess.run([sys.executable, *{arguments}], input=given, stdout=subprocess.DEVNULL, check=True)
print((time.perf_counter() - began) * 1000)
"""

SERVE = """
import os, subprocess, sys, time, urllib.request
from tests.program import free_port
port = str(free_port())
environment = os.environ | {{"HEARDBACK_SERVER_PORT": port}}
began = time.perf_counter()
server = subprocess.Popen([sys.executable, "-m", "heardback", "serve"], cwd={folder!r}, env=environment, stderr=subprocess.DEVNULL)
while True:
    try:
        urllib.request.urlopen("http://127.0.0.1:" + port + "/readyz").read()
        break
    except OSError:
        time.sleep(0.005)
print((time.perf_counter() - began) * 1000)
server.terminate()
server.wait()
"""

LETTER = """From: a@example.com
To: jane@example.org
Message-ID: <1@example.com>
Content-Type: text/html; charset=utf-8

<p><a href="https://www.example.com/">Read on</a></p>
"""


def process(name: str, *arguments: str, given: str = "") -> Contestant:
    """Describe a Python that is run with these arguments from its start to its end."""
    return Contestant(name, this(), PROCESS.format(arguments=arguments), given)


def measure() -> dict[str, Any]:
    """Run the rounds and print the table."""
    with TemporaryDirectory() as folder:
        contestants = [
            process(BARE, "-c", "pass"),
            process("import heardback", "-c", "import heardback"),
            process("from heardback import Tracker", "-c", "from heardback import Tracker"),
            process("heardback rewrite", "-m", "heardback", "rewrite", "--recipient", "jane@example.org", given=LETTER),
            Contestant("heardback serve, until /readyz says 200", this(), SERVE.format(folder=folder)),
        ]
        figures = table(rounds(contestants, ROUNDS), "ms", BARE)
    more = figures["import heardback"]["median"] - figures[BARE]["median"]
    print(f"import heardback: {more:.1f} ms more than a bare Python")
    return figures
