"""The service with little patience for its clients, so that tests need little too."""

from litestar import Litestar

from app import application
from app.http import protocol

protocol._HEAD_SECONDS = protocol._BODY_SECONDS = protocol._STALLED_SECONDS = 1


def create_app() -> Litestar:
    return application.create_app()
