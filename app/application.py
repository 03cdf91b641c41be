"""The application: the service behind HTTP and the command line."""

import gc
import logging
import multiprocessing
import sys
from collections.abc import Sequence
from dataclasses import fields
from functools import cache

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.events import EventListener
from litestar.middleware import DefineMiddleware
from litestar.openapi.spec import Tag
from litestar.plugins.pydantic import PydanticPlugin
from litestar.types import ControllerRouterHandler

from app import __version__
from app.auth.rate_limits import client_key
from app.commands.about import AboutCommands
from app.commands.backup import BackupCommands
from app.commands.events import EventCommands
from app.commands.invites import InviteCommands
from app.commands.mail import MailCommands
from app.commands.migrate import MigrateCommands
from app.commands.posts import PostCommands
from app.commands.run import RunCommand
from app.commands.users import UserCommands
from app.commands.webhooks import WebhookCommands
from app.errors import ConfigurationError
from app.http.cors import create_cors_config
from app.http.handler_lookup import LastingErrorHandlers
from app.http.hosts import AllowedHostsMiddleware
from app.http.list_cache import create_response_cache_config
from app.http.methods import CompleteMethods, HeadMiddleware
from app.http.problems import create_problem_plugin
from app.http.request_body import MAX_FORM_BYTES, BodyShareMiddleware, JSONRequest
from app.http.response_headers import with_response_headers
from app.http.root_path import RootPathMiddleware
from app.http.targets import BoundedTargetMiddleware
from app.service import Service, build_service
from app.settings import Environment, Settings, load_settings, misspelt_settings
from app.telemetry.logs import log_uncaught_exceptions, open_standard_streams
from app.telemetry.request_metrics import RequestMetricsMiddleware
from controllers.auth import AuthController
from controllers.batches import BatchController
from controllers.changes import ChangeController
from controllers.docs import create_openapi_config, openapi_document, swagger_assets, swagger_start
from controllers.feeds import FeedController
from controllers.health import HealthController
from controllers.imports import ImportController
from controllers.me import MeController
from controllers.metrics import read_metrics
from controllers.offline import service_worker
from controllers.page import page, page_files
from controllers.personal_tokens import PersonalTokenController
from controllers.posts import PostController
from controllers.recovery import EmailController, PasswordResetController
from controllers.scopes import DocumentedScopes
from controllers.webhooks import WebhookController
from events.emitter import TolerantEventEmitter
from events.relay import DurableListener
from events.types import PostEvent, UserEvent

# `app` turned the collector off. What it has made since then, the collector need never look at.
gc.freeze()
gc.enable()

logger = logging.getLogger(__name__)

_ROUTES: list[ControllerRouterHandler] = [
    AuthController,
    PasswordResetController,
    MeController,
    ImportController,
    EmailController,
    PersonalTokenController,
    PostController,
    ChangeController,
    BatchController,
    FeedController,
    WebhookController,
    HealthController,
    read_metrics,
    openapi_document,
    swagger_start,
    swagger_assets,
    page,
    page_files,
    service_worker,
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
        listeners: Functions decorated with Litestar's `@listener`, for a post's events (`"post.created"`,
            `"post.updated"`, `"post.deleted"`) or an account's (`"user.signed_up"`, `"user.email_changed"`,
            `"user.disabled"`, `"user.enabled"`, `"user.erased"`). Each is called with the event after its commit, in
            the background.
        durable_listeners: Listeners that get every event at least once, also after a crash.

    Raises:
        SystemExit: No settings are given, and those of the environment can't be used. The message says why.
        ConfigurationError: The given settings can't be used.
    """
    if settings is not None:
        return serve_over_http(build_service(settings, durable_listeners=durable_listeners), listeners)
    open_standard_streams()
    try:
        settings = load_settings()
        if settings.environment is Environment.PRODUCTION:
            log_uncaught_exceptions()
        app = create_app(settings, listeners=listeners, durable_listeners=durable_listeners)
        _warn_of_misspelt_settings()
    except ConfigurationError as error:
        raise SystemExit(f"postline: {error}") from None
    return app


def serve_over_http(service: Service, listeners: Sequence[EventListener] = ()) -> Litestar:
    """Return the Litestar application that puts a service behind HTTP and the command line."""
    settings = service.settings
    app = Litestar(
        route_handlers=_ROUTES,
        dependencies={field.name: _provide(getattr(service, field.name)) for field in fields(service)},
        state=State(
            {
                "auth_limit": service.auth_limit,
                "write_limit": service.write_limit,
                "large_answers": service.large_answers,
                "service": service,
            }
        ),
        middleware=[
            HeadMiddleware,
            *_allowed_hosts(settings),
            service.jwt_auth.middleware,
            DefineMiddleware(BodyShareMiddleware, share=service.bodies, client_key=client_key),
        ],
        logging_config=None,
        cors_config=create_cors_config(settings.cors_allowed_origins),
        request_class=JSONRequest,
        request_max_body_size=MAX_FORM_BYTES,
        response_cache_config=create_response_cache_config(settings.cache_seconds),
        stores={"response_cache": service.list_cache},
        plugins=[
            PydanticPlugin(),
            create_problem_plugin(),
            DocumentedScopes(),
            CompleteMethods(),
            LastingErrorHandlers(),
            RunCommand(
                service.database,
                settings.trusted_proxies,
                keep_alive_seconds=settings.keep_alive_seconds,
                logs_json=settings.environment is Environment.PRODUCTION,
            ),
            AboutCommands(service.database, settings.environment),
            BackupCommands(service.database),
            MigrateCommands(service.database),
            EventCommands(service.database, service.inspection),
            MailCommands(service.database, service.mail_queue),
            WebhookCommands(service.database, service.transactions, service.destinations, service.webhook_queue),
            PostCommands(service.database, service.transactions, service.exports, service.imports),
            UserCommands(
                service.database,
                service.transactions,
                service.passwords,
                links=service.links,
                mails=service.mails,
                public_url=settings.links_lead_to,
                emitter=lambda: app.event_emitter,
            ),
            InviteCommands(
                service.database,
                service.transactions,
                public_url=settings.links_lead_to,
                sign_up_policy=settings.sign_up,
            ),
        ],
        openapi_config=create_openapi_config(__version__, _tags(_ROUTES), settings.root_path, settings.sign_up),
        event_emitter_backend=TolerantEventEmitter,
        listeners=listeners,
        lifespan=[lambda _: service.lifespan()],
    )
    if settings.root_path:
        _check_root_path(app, settings.root_path)
        app.asgi_handler = RootPathMiddleware(app.asgi_handler, settings.root_path)
    app.asgi_handler = with_response_headers(
        RequestMetricsMiddleware(
            service.tracing.middleware(service.large_answers.middleware(BoundedTargetMiddleware(app.asgi_handler))),
            service.metrics,
            settings.access_log_seconds,
        )
    )

    async def emit(event: PostEvent | UserEvent) -> None:
        app.emit(event.type, event)

    service.bus.subscribe(PostEvent, emit)
    service.bus.subscribe(UserEvent, emit)
    return app


def _check_root_path(app: Litestar, root_path: str) -> None:
    # Where the proxy strips the prefix, it would be stripped from the service's own addresses a second time.
    if any(f"{route.path}/".startswith(f"{root_path}/") for route in app.routes):
        raise ConfigurationError(f"ROOT_PATH must not be an address of the service's own, as {root_path} is")


@cache
def _warn_of_misspelt_settings() -> None:
    """Warn once: a process may build the application twice, and workers read the same file."""
    if multiprocessing.parent_process() is not None:
        return
    for name, meant in misspelt_settings().items():
        logger.warning(".env sets %s, which is no setting%s", name, f": did you mean {meant}?" if meant else "")


def _tags(routes: Sequence[ControllerRouterHandler]) -> list[Tag]:
    """Return the tags of the controllers, each declared once as `TAG` in the controller's module."""
    tags = {tag.name: tag for route in routes if (tag := getattr(sys.modules[route.__module__], "TAG", None))}
    return list(tags.values())


def _provide(part: object) -> Provide:
    return Provide(lambda: part, sync_to_thread=False)


def _allowed_hosts(settings: Settings) -> list[DefineMiddleware]:
    hosts = settings.allowed_hosts
    return [DefineMiddleware(AllowedHostsMiddleware, patterns=hosts)] if hosts else []
