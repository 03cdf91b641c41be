"""The composition root: the one place where things are wired together."""

from collections.abc import Sequence
from datetime import timedelta

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.events import EventListener
from litestar.middleware import DefineMiddleware
from litestar.plugins.pydantic import PydanticPlugin

from app import __version__
from app.bounded_store import BoundedStore
from app.cache import create_response_cache_config
from app.commands.backup import BackupCommands
from app.commands.events import EventCommands
from app.commands.run import RunCommand
from app.database import Database
from app.delivery.caller import Caller
from app.delivery.database_watch import DatabaseWatch
from app.delivery.destinations import Destinations
from app.delivery.outbox import SqlOutbox
from app.delivery.outbox_inspection import OutboxInspection
from app.delivery.wakeups import Wakeups
from app.delivery.webhook_queue import WebhookQueue
from app.delivery.webhook_sender import MOST_AT_ONCE, SenderPolicy, WebhookSender
from app.http.cors import PreflightProblems, create_cors_config
from app.http.handler_lookup import LastingErrorHandlers
from app.http.hosts import AllowedHostsMiddleware
from app.http.methods import CompleteMethods, HeadMiddleware
from app.http.problems import create_problem_plugin
from app.http.requests import JSONRequest
from app.http.response_headers import add_response_headers
from app.jwt_secret import resolve_keyring
from app.limits import Limit
from app.passwords import Argon2Passwords
from app.pruning import Pruner
from app.readiness import Readiness
from app.reads import DatabaseReads
from app.redis.shared import Shared, share
from app.redis.timelines import RedisTimelines
from app.security import JWTAccessTokens, PrincipalFinder, create_jwt_auth
from app.services.accounts import AccountService
from app.services.feed import FeedService
from app.services.posts import PostService
from app.services.sessions import SessionService
from app.services.webhooks import WebhookService
from app.serving import BackgroundWork, Connections, serving
from app.settings import ConfigurationError, Environment, Settings, load_settings
from app.telemetry.backlog_metrics import BacklogMetrics
from app.telemetry.logs import configure_logging
from app.telemetry.measures import measures
from app.telemetry.metrics import Metrics
from app.telemetry.request_watch import RequestWatch
from app.telemetry.tracing import create_tracing
from app.timeline import DatabaseTimelines, MemoryTimelines, Timelines
from app.timeline_reads import TimelineReads
from app.tokens import SessionTokens
from app.unit_of_work import SqlUnits
from controllers.auth import AuthController
from controllers.docs import create_openapi_config, openapi_document, swagger_assets, swagger_start
from controllers.feed import FeedController
from controllers.health import HealthController
from controllers.me import MeController
from controllers.metrics import read_metrics
from controllers.page import page, page_files
from controllers.posts import PostController
from controllers.webhooks import WebhookController
from events.bus import EventBus
from events.emitter import TolerantEventEmitter
from events.relay import BATCHES_AT_ONCE, DurableListener, Relay, RelayPolicy
from events.types import DeliveriesQueued, PostEvent, SessionsChanged

_BODY_LIMIT_BYTES = 1_048_576
_HEARTBEAT_SECONDS = 15
_WATCH_INTERVAL = timedelta(seconds=0.5)


def create_app(
    settings: Settings | None = None,
    *,
    listeners: Sequence[EventListener] = (),
    durable_listeners: Sequence[DurableListener] = (),
) -> Litestar:
    """Return the service.

    Args:
        settings: Read from the environment and `.env` when not given, as the Litestar CLI and servers do.
        listeners: Functions under Litestar's `@listener("post.created", "post.updated", "post.deleted")`. Each is
            called with the event after its commit, in the background.
        durable_listeners: Listeners that get every event at least once, whatever fails.

    Raises:
        SystemExit: No settings are given and those of the environment are unusable; the message says why.
        ConfigurationError: The settings that are given are unusable.
    """
    if settings is not None:
        return _put_together(settings, listeners, durable_listeners)
    try:
        return _put_together(load_settings(), listeners, durable_listeners)
    except ConfigurationError as error:
        raise SystemExit(f"postline: {error}") from None


def _put_together(
    settings: Settings, listeners: Sequence[EventListener], durable_listeners: Sequence[DurableListener]
) -> Litestar:
    configure_logging(as_json=settings.environment is Environment.PRODUCTION)
    tracing = create_tracing()
    keyring = resolve_keyring(settings)
    database = Database(
        settings.database,
        pool_size=settings.database_pool_size,
        answer_seconds=settings.database_timeout_seconds,
        # One listener that hangs keeps none from the others, the webhooks' among them, nor from the pruner.
        held_at_once=BATCHES_AT_ONCE * (len(durable_listeners) + 1) + 1,
    )
    reads = DatabaseReads(database)
    bus = EventBus()
    wakeups = Wakeups()
    shared = share(settings.redis_url, database, wakeups) if settings.redis_url else None
    timelines = _create_timelines(database, bus, shared)
    units = tracing.units(SqlUnits(database, bus, timelines))
    jwt_auth = create_jwt_auth(keyring, timedelta(seconds=settings.access_token_seconds), timelines)
    passwords = Argon2Passwords(
        memory_kib=settings.argon2_memory_kib,
        iterations=settings.argon2_iterations,
        parallelism=settings.argon2_parallelism,
        threads=settings.password_threads,
        queue_limit=settings.password_queue_limit,
    )
    tokens = SessionTokens(keyring, JWTAccessTokens(jwt_auth), timedelta(seconds=settings.session_seconds))
    counts = None if shared is None else shared.counts
    log_ins = Limit("login", settings.failure_limits, counts)
    accounts = AccountService(units, reads, passwords, tokens, Limit("password", settings.failure_limits, counts))
    sessions = SessionService(units, reads, passwords, tokens, log_ins)
    posts = PostService(units, reads)
    bus.subscribe(PostEvent, wakeups.on_change)
    bus.subscribe(SessionsChanged, wakeups.on_change)
    feed = FeedService(reads, timelines, wakeups, heartbeat_seconds=_HEARTBEAT_SECONDS)
    pruner = Pruner(
        database,
        event_retention=timedelta(days=settings.event_retention_days),
        interval=timedelta(seconds=settings.prune_seconds),
    )
    destinations = Destinations(settings.webhook_allowed_networks)
    webhooks = WebhookService(units, reads, destinations)
    caller = Caller(destinations, max_connections=MOST_AT_ONCE)
    sender = WebhookSender(WebhookQueue(database), caller, SenderPolicy())
    bus.subscribe(DeliveriesQueued, sender.on_queued)
    durable_listeners = [DurableListener("webhooks", webhooks.queue, webhooks.owners_among), *durable_listeners]
    durable_listeners = [tracing.listener(listener) for listener in durable_listeners]
    cache = BoundedStore(settings.cache_max_bytes)
    inspection = OutboxInspection(database, [listener.name for listener in durable_listeners])
    metrics = Metrics(
        measures(cache=cache, database=database, log_ins=log_ins, passwords=passwords, wakeups=wakeups, shared=shared),
        BacklogMetrics(database, inspection, WebhookQueue(database)).read,
    )
    work: list[BackgroundWork] = [metrics, pruner, sender, *_create_relays(durable_listeners, database, bus)]
    connections: list[Connections] = [caller, destinations, database, tracing]
    if not database.is_sqlite:
        work.append(DatabaseWatch(wakeups, TimelineReads(database).marks, _WATCH_INTERVAL))
    if shared is not None:
        bus.subscribe(PostEvent, shared.wakeups.on_change)
        bus.subscribe(SessionsChanged, shared.wakeups.on_change)
        work += [shared.trust, shared.wakeups]
        connections.append(shared.link)
    principals = PrincipalFinder(jwt_auth, timelines)
    readiness = Readiness(database)

    app = Litestar(
        route_handlers=[
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
        ],
        dependencies={
            "accounts": Provide(lambda: accounts, sync_to_thread=False),
            "is_degraded": Provide(lambda: shared is not None and shared.is_degraded, sync_to_thread=False),
            "feed": Provide(lambda: feed, sync_to_thread=False),
            "metrics": Provide(lambda: metrics, sync_to_thread=False),
            "posts": Provide(lambda: posts, sync_to_thread=False),
            "principals": Provide(lambda: principals, sync_to_thread=False),
            "readiness": Provide(lambda: readiness, sync_to_thread=False),
            "sessions": Provide(lambda: sessions, sync_to_thread=False),
            "webhooks": Provide(lambda: webhooks, sync_to_thread=False),
        },
        state=State({"auth_limit": Limit("auth", settings.auth_rate_limit, counts), "bus": bus, "database": database}),
        middleware=[HeadMiddleware, *_allowed_hosts(settings), jwt_auth.middleware],
        before_send=[add_response_headers],
        logging_config=None,
        cors_config=create_cors_config(settings.cors_allowed_origins),
        request_class=JSONRequest,
        request_max_body_size=_BODY_LIMIT_BYTES,
        response_cache_config=create_response_cache_config(settings.cache_seconds),
        stores={"response_cache": cache},
        plugins=[
            PydanticPlugin(),
            create_problem_plugin(),
            CompleteMethods(),
            LastingErrorHandlers(),
            RunCommand(database, settings.trusted_proxies),
            BackupCommands(database),
            EventCommands(database, inspection),
        ],
        openapi_config=create_openapi_config(__version__),
        event_emitter_backend=TolerantEventEmitter,
        listeners=listeners,
        lifespan=[lambda _: serving(database, passwords, wakeups, work, connections)],
    )

    if app.cors_config is not None:
        app.asgi_handler = PreflightProblems(app.asgi_handler)
    app.asgi_handler = RequestWatch(tracing.requests(app.asgi_handler), metrics, settings.access_log_seconds)

    async def emit(event: PostEvent) -> None:
        app.emit(event.type, event)

    bus.subscribe(PostEvent, emit)
    return app


def _create_timelines(database: Database, bus: EventBus, shared: Shared | None) -> Timelines:
    reads = TimelineReads(database)
    if shared is not None:
        return RedisTimelines(shared.link, shared.trust, reads.live_version, reads.state)
    if not database.is_sqlite:
        return DatabaseTimelines(reads.live_version)
    timelines = MemoryTimelines(reads.state)
    bus.subscribe(PostEvent, timelines.on_post_event)
    bus.subscribe(SessionsChanged, timelines.on_sessions_changed)
    return timelines


def _create_relays(listeners: Sequence[DurableListener], database: Database, bus: EventBus) -> list[Relay]:
    names = [listener.name for listener in listeners]
    if len(set(names)) < len(names):
        raise ConfigurationError("two durable listeners have one name")
    outbox = SqlOutbox(database, names)
    relays = [Relay(listener, outbox, RelayPolicy()) for listener in listeners]
    for relay in relays:
        bus.subscribe(PostEvent, relay.on_change)
    return relays


def _allowed_hosts(settings: Settings) -> list[DefineMiddleware]:
    hosts = settings.allowed_hosts
    return [DefineMiddleware(AllowedHostsMiddleware, patterns=hosts)] if hosts else []
