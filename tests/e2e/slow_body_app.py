"""The service with one second for an ordinary body, and three for a large one, so that tests need not wait long."""

from litestar import Litestar

from app.application import serve_over_http
from app.http.large_bodies import BodyPolicy
from app.server.http_protocol import BoundedProtocol, Deadlines
from app.service import Policies, build_service
from app.settings import load_settings

BoundedProtocol.deadlines = Deadlines(body=1)


def create_app() -> Litestar:
    bodies = BodyPolicy(grace=3, least_rate=1_000_000)
    return serve_over_http(build_service(load_settings(), policies=Policies(bodies=bodies)))
