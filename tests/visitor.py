"""Somebody at the dashboard, with a browser's habits and no script: cookies are kept, forms are filled in and sent."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from tests.program import API_TOKEN, Answer, Program

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(slots=True)
class Visitor:
    """One browser at one server."""

    program: Program
    cookies: dict[str, str] = field(default_factory=dict)
    origin: str = ""
    """What stands in `Origin`; nothing: that of the server."""

    def get(self, path: str = "", **headers: str) -> Answer:
        """Look at a page."""
        return self._asked("GET", path, None, headers)

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        """Send a form as it stands."""
        sent = {"Origin": self.origin or self.program.base_url.split("/t")[0], **FORM, **headers}
        return self._asked("POST", path, urlencode(fields).encode(), sent)

    def send(self, path: str, **fields: str) -> Answer:
        """Fill in a form of a page and send it; give the page that it leads to."""
        return self.led(self.post(path, {"form": self.form, **fields}))

    def led(self, answer: Answer) -> Answer:
        """Follow a redirect, if it is one."""
        if answer.status != 303:
            return answer
        return self.get(answer.header("location").partition("/dashboard")[2])

    def upload(self, path: str, file: bytes) -> Answer:
        """Send a file with a form, as browsers do."""
        parts = [("form", "", self.form.encode()), ("file", '; filename="who.csv"', file)]
        body = b"".join(
            f'--b0undary\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content + b"\r\n"
            for name, more, content in parts
        )
        sent = {"Content-Type": "multipart/form-data; boundary=b0undary", "Origin": self.program.base_url}
        return self.led(self._asked("POST", path, body + b"--b0undary--\r\n", sent))

    def sign_in(self, token: str = API_TOKEN, **fields: str) -> Answer:
        """Sign in; give the answer to the form."""
        return self.post("/sign-in", {"token": token, **fields})

    @property
    def form(self) -> str:
        """Give what the forms of a page carry."""
        [found, *_] = re.findall(r'name="form" value="([^"]+)"', self.get("/settings").body.decode())
        return str(found)

    def _asked(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.program.ask(
            method, f"/dashboard{path}", body, {**headers, **({"Cookie": cookies} if cookies else {})}
        )
        for name, value in answer.headers:
            if name.lower() == "set-cookie":
                for key, morsel in SimpleCookie(value).items():
                    self.cookies[key] = morsel.value
        self.cookies = {name: value for name, value in self.cookies.items() if value}
        return answer


def text(answer: Answer) -> str:
    """Give what is to be read on a page."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.body.decode())).split())
