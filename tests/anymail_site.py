"""A Django site with django-anymail's SendGrid webhook: `python -m tests.anymail_site PUBLIC_KEY FILE`.

Prints its port; writes one line of JSON for each tracking signal to the file. It ends when its input does.
"""

from __future__ import annotations

import json
import sys
import threading
import warnings
from pathlib import Path
from typing import Any, TextIO
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from anymail.signals import tracking
from anymail.webhooks.sendgrid import SendGridTrackingWebhookView
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.urls import path

urlpatterns = [path("hook/", SendGridTrackingWebhookView.as_view())]


class Quiet(WSGIRequestHandler):
    """A handler that writes no log."""

    def log_message(self, *_: object) -> None:
        """Write nothing."""


def noted(event: Any) -> str:
    """Write down what a signal says."""
    said = {name: getattr(event, name) for name in ("event_type", "recipient", "click_url", "event_id", "message_id")}
    more = {"tags": event.tags, "metadata": event.metadata, "user_agent": event.user_agent}
    return json.dumps({**said, **more, "at": event.timestamp.timestamp()}) + "\n"


def main(public_key: str, file: TextIO) -> None:
    """Serve until the input ends."""
    warnings.filterwarnings("ignore", "django-anymail has dropped official support")
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["127.0.0.1"],
        ANYMAIL={"SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY": public_key},
        USE_TZ=True,
    )
    django.setup()

    def note(event: Any, **_: object) -> None:
        file.write(noted(event))
        file.flush()

    tracking.connect(note)
    with make_server("127.0.0.1", 0, WSGIHandler(), handler_class=Quiet) as server:
        print(server.server_port, flush=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    with Path(sys.argv[2]).open("w", encoding="utf-8") as file:
        main(sys.argv[1], file)
