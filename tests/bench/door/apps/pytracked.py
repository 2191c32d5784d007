"""pytracking's own view under Django: it decodes the path and sends the pixel, and records nothing."""

from __future__ import annotations

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path
from pytracking.django import OpenTrackingView

APPS = ("auth", "contenttypes", "sessions", "messages", "staticfiles")
MIDDLEWARE = (
    "middleware.security.SecurityMiddleware",
    "contrib.sessions.middleware.SessionMiddleware",
    "middleware.common.CommonMiddleware",
    "middleware.csrf.CsrfViewMiddleware",
    "contrib.auth.middleware.AuthenticationMiddleware",
    "contrib.messages.middleware.MessageMiddleware",
    "middleware.clickjacking.XFrameOptionsMiddleware",
)
"""Of a project as `django-admin startproject` makes it."""

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    SECRET_KEY="a secret of the bench",
    INSTALLED_APPS=[f"django.contrib.{name}" for name in APPS],
    MIDDLEWARE=[f"django.{name}" for name in MIDDLEWARE],
    ROOT_URLCONF=__name__,
    PYTRACKING_CONFIGURATION={"base_open_tracking_url": "http://127.0.0.1/o/"},
)
django.setup()

urlpatterns = [path("o/<str:path>", OpenTrackingView.as_view())]
app = get_wsgi_application()
