"""A Prometheus as its operators run it: the real server, scraping one heardback each second."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

from tests.program import API_TOKEN, free_port, wait_until

SERVER, TOOL = shutil.which("prometheus"), shutil.which("promtool")
CONFIGURATION = """
global: {{ scrape_interval: 1s }}
scrape_configs:
  - job_name: heardback
    authorization: {{ credentials: "{token}" }}
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
"""


@dataclass(slots=True)
class Prometheus:
    """A server in a folder of its own."""

    folder: Path
    scraped: int
    """The port that it scrapes."""
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it."""
        configuration = self.folder / "prometheus.yml"
        configuration.write_text(CONFIGURATION.format(token=API_TOKEN, port=self.scraped))
        self.process = subprocess.Popen(
            [
                str(SERVER),
                f"--config.file={configuration}",
                f"--storage.tsdb.path={self.folder / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        if self.process:
            self.process.terminate()
            self.process.wait()

    def asked(self, query: str) -> list[float]:
        """Give the values that a query has by now; none while the server is not up."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/api/v1/query?query={quote(query)}") as answer:
                return [float(each["value"][1]) for each in json.load(answer)["data"]["result"]]
        except URLError:
            return []

    def comes_to(self, query: str, value: float) -> None:
        """Wait until a query has this one value."""
        wait_until(lambda: self.asked(query) == [value], f"{query} is {value}")


def lint(metrics: bytes) -> str:
    """Give what `promtool check metrics` has to say of a scrape."""
    done = subprocess.run([str(TOOL), "check", "metrics"], input=metrics, capture_output=True)
    return (done.stdout + done.stderr).decode()
