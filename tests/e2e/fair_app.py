"""The service with little patience for clients that hold a large answer, so that tests need not wait long."""

from litestar import Litestar

from app.application import serve_over_http
from app.http.large_answers import AnswerPolicy
from app.service import Policies, build_service
from app.settings import load_settings


def create_app() -> Litestar:
    policies = Policies(answers=AnswerPolicy(grace=2, least_rate=1_000_000))
    return serve_over_http(build_service(load_settings(), policies=policies))
