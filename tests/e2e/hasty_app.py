"""The service with little patience for its clients, so that tests need little too."""

from litestar import Litestar

from app import application, http_protocol

http_protocol._HEAD_SECONDS = http_protocol._BODY_SECONDS = http_protocol._STALLED_SECONDS = 1


def create_app() -> Litestar:
    return application.create_app()
