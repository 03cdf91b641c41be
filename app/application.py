"""The application: the service behind HTTP and the command line."""

import sys
from collections.abc import Sequence
from dataclasses import fields

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.events import EventListener
from litestar.middleware import DefineMiddleware
from litestar.openapi.spec import Tag
from litestar.plugins.pydantic import PydanticPlugin
from litestar.types import ControllerRouterHandler

from app import __version__
from app.commands.backup import BackupCommands
from app.commands.events import EventCommands
from app.commands.run import RunCommand
from app.errors import ConfigurationError
from app.http.cors import create_cors_config
from app.http.handler_lookup import LastingErrorHandlers
from app.http.hosts import AllowedHostsMiddleware
from app.http.list_cache import create_response_cache_config
from app.http.methods import CompleteMethods, HeadMiddleware
from app.http.problems import create_problem_plugin
from app.http.request_body import JSONRequest
from app.http.response_headers import add_response_headers
from app.service import Service, build_service
from app.settings import Settings, load_settings
from app.telemetry.request_metrics import RequestMetricsMiddleware
from controllers.auth import AuthController
from controllers.docs import create_openapi_config, openapi_document, swagger_assets, swagger_start
from controllers.feeds import FeedController
from controllers.health import HealthController
from controllers.me import MeController
from controllers.metrics import read_metrics
from controllers.page import page, page_files
from controllers.posts import PostController
from controllers.webhooks import WebhookController
from events.emitter import TolerantEventEmitter
from events.relay import DurableListener
from events.types import PostEvent

_BODY_LIMIT_BYTES = 1_048_576

_ROUTES: list[ControllerRouterHandler] = [
    AuthController,
    MeController,
    PostController,
    FeedController,
    WebhookController,
    HealthController,
    read_metrics,
    openapi_document,
    swagger_start,
    swagger_assets,
    page,
    page_files,
]


def create_app(
    settings: Settings | None = None,
    *,
    listeners: Sequence[EventListener] = (),
    durable_listeners: Sequence[DurableListener] = (),
) -> Litestar:
    """Return the application.

    Args:
        settings: Read from the environment and `.env` if not given, as the Litestar CLI and servers do.
        listeners: Functions decorated with Litestar's `@listener("post.created", "post.updated", "post.deleted")`. Each
            is called with the event after its commit, in the background.
        durable_listeners: Listeners that get every event at least once, also after a crash.

    Raises:
        SystemExit: No settings are given, and those of the environment can't be used. The message says why.
        ConfigurationError: The given settings can't be used.
    """
    if settings is not None:
        return serve_over_http(build_service(settings, durable_listeners=durable_listeners), listeners)
    try:
        return create_app(load_settings(), listeners=listeners, durable_listeners=durable_listeners)
    except ConfigurationError as error:
        raise SystemExit(f"postline: {error}") from None


def serve_over_http(service: Service, listeners: Sequence[EventListener] = ()) -> Litestar:
    """Return the Litestar application that puts a service behind HTTP and the command line."""
    settings = service.settings
    app = Litestar(
        route_handlers=_ROUTES,
        dependencies={field.name: _provide(getattr(service, field.name)) for field in fields(service)},
        state=State({"auth_limit": service.auth_limit, "service": service}),
        middleware=[HeadMiddleware, *_allowed_hosts(settings), service.jwt_auth.middleware],
        before_send=[add_response_headers],
        logging_config=None,
        cors_config=create_cors_config(settings.cors_allowed_origins),
        request_class=JSONRequest,
        request_max_body_size=_BODY_LIMIT_BYTES,
        response_cache_config=create_response_cache_config(settings.cache_seconds),
        stores={"response_cache": service.list_cache},
        plugins=[
            PydanticPlugin(),
            create_problem_plugin(),
            CompleteMethods(),
            LastingErrorHandlers(),
            RunCommand(service.database, settings.trusted_proxies),
            BackupCommands(service.database),
            EventCommands(service.database, service.inspection),
        ],
        openapi_config=create_openapi_config(__version__, _tags(_ROUTES)),
        event_emitter_backend=TolerantEventEmitter,
        listeners=listeners,
        lifespan=[lambda _: service.lifespan()],
    )
    app.asgi_handler = RequestMetricsMiddleware(
        service.tracing.middleware(app.asgi_handler), service.metrics, settings.access_log_seconds
    )

    async def emit(event: PostEvent) -> None:
        app.emit(event.type, event)

    service.bus.subscribe(PostEvent, emit)
    return app


def _tags(routes: Sequence[ControllerRouterHandler]) -> list[Tag]:
    """Return the tags of the controllers, each declared once as `TAG` in the controller's module."""
    tags = {tag.name: tag for route in routes if (tag := getattr(sys.modules[route.__module__], "TAG", None))}
    return list(tags.values())


def _provide(part: object) -> Provide:
    return Provide(lambda: part, sync_to_thread=False)


def _allowed_hosts(settings: Settings) -> list[DefineMiddleware]:
    hosts = settings.allowed_hosts
    return [DefineMiddleware(AllowedHostsMiddleware, patterns=hosts)] if hosts else []
