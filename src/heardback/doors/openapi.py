"""What is written of the private door: `/api/openapi.json` (OpenAPI 3.1), and the same as a page.

It stands in openapi.json; here the schemas of events join it, which stand with the formats, and what every answer has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import Any

import orjson
from jinja2 import Undefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from heardback import formats, site
from heardback.doors.answers import Endpoint, as_json
from heardback.doors.pages import HEADERS, environment, folders
from heardback.events import LETTER_TYPES

METHODS = ("get", "put", "post", "delete")

EVERYWHERE = {"401": "Stranger", "429": "TooManyTokens", "500": "Fault", "503": "Away"}
"""What any request may be answered."""

INNER = re.compile(r'"#/\$defs/(\w+)"')
"""How a schema file refers to what stands in it."""

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OpenApi:
    """The answers, made from the document."""

    document: JSON

    def routes(self, guarded: Callable[[Endpoint], Endpoint]) -> list[Route]:
        """Give the routes, each behind the guard."""
        return [
            Route("/api/openapi.json", guarded(self.description), methods=["GET"]),
            Route("/api/docs", guarded(self.docs), methods=["GET"]),
        ]

    async def description(self, _: Request) -> Response:
        """Give the document."""
        return as_json(self.document)

    async def docs(self, _: Request) -> Response:
        """Give the document as a page; in a thread, for it takes 40 ms, and readers are not to wait for that."""
        return HTMLResponse(await run_in_threadpool(page_of, self.document), headers=HEADERS)


def page_of(told: JSON) -> str:
    """Write a document as a page."""
    shown = environment(folders()).overlay(undefined=Undefined).get_template("docs.html")
    follow = partial(followed, told)
    return shown.render(api=told, operations=list(operations(told)), follow=follow, written=written)


def document(base_url: str, version: str) -> JSON:
    """Give the whole document, for a server that is reached at a URL."""
    told: JSON = orjson.loads(files(__package__).joinpath("openapi.json").read_bytes())
    told["info"]["version"] = version
    told["servers"] = [{"url": base_url}]
    told["components"]["schemas"] |= schemas()
    common = {status: {"$ref": f"#/components/responses/{name}"} for status, name in EVERYWHERE.items()}
    for operation in operations(told):
        operation.said["responses"] = dict(sorted((operation.said["responses"] | common).items()))
    for answer in answers(told):
        answer["headers"] = answer.get("headers", {}) | {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    return told


def answers(told: JSON) -> Iterator[JSON]:
    """Give every answer of a document, each once."""
    yield from told["components"]["responses"].values()
    for operation in operations(told):
        yield from (answer for answer in operation.said["responses"].values() if "$ref" not in answer)


def schemas() -> JSON:
    """Give the schemas that stand elsewhere."""
    elements = {f"{name.title()}Element": f"submission-tracking-{name}.schema.json" for name in LETTER_TYPES}
    contents = {name: formats.schema(file) or b"" for name, file in elements.items()}
    found: JSON = {}
    for name, content in {**contents, "SiteEventTold": site.schema()}.items():
        found |= embedded(name, content)
    return found


def embedded(name: str, content: bytes) -> JSON:
    """Give a schema file as schemas of the document: itself, and what it refers to in it, with names of their own."""

    def named(inner: str) -> str:
        return f"{name}{inner.title()}"

    text = INNER.sub(lambda match: f'"#/components/schemas/{named(match[1])}"', content.decode())
    told: JSON = orjson.loads(text)
    inner = {named(each): told["$defs"][each] for each in INNER.findall(content.decode())}
    return {name: {key: value for key, value in told.items() if not key.startswith("$") or key == "$ref"}, **inner}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    said: JSON
    parameters: tuple[JSON, ...]
    """Also those of the path, references followed."""


def operations(told: Mapping[str, Any]) -> Iterator[Operation]:
    """Give every operation of a document, in its order."""
    for path, item in told["paths"].items():
        for method in METHODS:
            if said := item.get(method):
                parameters = [*item.get("parameters", ()), *said.get("parameters", ())]
                yield Operation(method.upper(), path, said, tuple(followed(told, each) for each in parameters))


def followed(told: Mapping[str, Any], part: JSON) -> JSON:
    """Follow a reference, where a part of the document is one."""
    while "$ref" in part:
        for step in part["$ref"].removeprefix("#/").split("/"):
            told = told[step]
        part = dict(told)
    return part


def written(value: object) -> str:
    """Write an example as it is sent."""
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
