"""The service with short deadlines for its clients, so that tests need not wait long."""

from litestar import Litestar

from app import application
from app.server.http_protocol import BoundedProtocol, Deadlines

BoundedProtocol.deadlines = Deadlines(head=1, body=1, stalled=1)


def create_app() -> Litestar:
    return application.create_app()
