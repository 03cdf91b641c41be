"""The composition root: every part of the service, without HTTP around it."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from litestar.security.jwt import JWTAuth

from app.auth.jwt_auth import AccessToken, JWTAccessTokens, PrincipalFinder, create_jwt_auth
from app.auth.keys import load_keyring
from app.auth.passwords import Argon2Passwords
from app.auth.rate_limits import RateLimit
from app.auth.session_tokens import SessionTokens
from app.auth.shared_counts import SharedCounts
from app.database.engines import Database
from app.database.redis_connection import RedisConnection
from app.delivery.destinations import PublicDestinations
from app.delivery.outbox import OutboxPolicy, SqlOutbox
from app.delivery.outbox_inspection import OutboxInspection
from app.delivery.redis_wakeups import RedisWakeups
from app.delivery.timeline_watcher import TimelineWatcher
from app.delivery.webhook_client import WebhookClient
from app.delivery.webhook_queue import WebhookQueue
from app.delivery.webhook_sender import MAX_CONCURRENT, SenderPolicy, WebhookSender
from app.errors import ConfigurationError
from app.http.response_store import BoundedStore
from app.ports.security import Principal
from app.ports.timelines import Timelines
from app.ports.unit_of_work import Transactions
from app.server.lifespan import BackgroundTask, LifespanPolicy, Resource, lifespan
from app.server.readiness import Readiness
from app.services.feeds import FeedService
from app.services.posts import PostService
from app.services.sessions import SessionPolicy, SessionService
from app.services.users import UserService
from app.services.webhooks import WebhookService
from app.settings import Environment, Settings
from app.storage.exports import ExportQueries
from app.storage.policy import StoragePolicy
from app.storage.pruning import Pruner
from app.storage.queries import DatabaseQueries
from app.storage.unit_of_work import SqlTransactions
from app.telemetry.backlog_metrics import BacklogMetrics
from app.telemetry.logs import configure_logging
from app.telemetry.metrics import Metrics
from app.telemetry.process_metrics import process_metrics
from app.telemetry.tracing import Tracing, create_tracing
from app.timelines.database import DatabaseTimelines
from app.timelines.memory import MemoryTimelines
from app.timelines.queries import TimelineQueries
from events.bus import EventBus
from events.relay import MAX_CONCURRENT_BATCHES, DurableListener, Relay, RelayPolicy
from events.types import DeliveriesQueued, PostEvent, SessionsChanged
from events.wakeups import Wakeups

_WATCH_INTERVAL = timedelta(seconds=0.5)


@dataclass(frozen=True)
class Policies:
    """The bounds and delays of the service that are not settings. Tests pass others."""

    sessions: SessionPolicy = field(default_factory=SessionPolicy)
    storage: StoragePolicy = field(default_factory=StoragePolicy)
    outbox: OutboxPolicy = field(default_factory=OutboxPolicy)
    relay: RelayPolicy = field(default_factory=RelayPolicy)
    sender: SenderPolicy = field(default_factory=SenderPolicy)
    lifespan: LifespanPolicy = field(default_factory=LifespanPolicy)


@dataclass(frozen=True)
class Service:
    """Every part of the service. A controller gets one by naming a parameter as the field is named."""

    settings: Settings
    policies: Policies
    database: Database
    bus: EventBus
    transactions: Transactions
    queries: DatabaseQueries
    exports: ExportQueries
    timelines: Timelines
    jwt_auth: JWTAuth[Principal, AccessToken]
    principals: PrincipalFinder
    passwords: Argon2Passwords
    auth_limit: RateLimit
    users: UserService
    sessions: SessionService
    posts: PostService
    feeds: FeedService
    webhooks: WebhookService
    wakeups: Wakeups
    inspection: OutboxInspection
    pruner: Pruner
    list_cache: BoundedStore
    readiness: Readiness
    metrics: Metrics
    tracing: Tracing
    background: Sequence[BackgroundTask]
    resources: Sequence[Resource]

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Return the context in which the service serves: see `app.server.lifespan`."""
        return lifespan(
            self.database, self.passwords, self.wakeups, self.background, self.resources, policy=self.policies.lifespan
        )


def build_service(
    settings: Settings,
    *,
    durable_listeners: Sequence[DurableListener] = (),
    policies: Policies | None = None,
    database: Database | None = None,
    bus: EventBus | None = None,
    timelines: Timelines | None = None,
    tracing: Tracing | None = None,
) -> Service:
    """Return the service. What is passed in, a test's own parts say, replaces what the settings would make.

    Raises:
        ConfigurationError: The settings can't be used, or two durable listeners have one name.
    """
    configure_logging(as_json=settings.environment is Environment.PRODUCTION)
    policies = policies or Policies()
    bus = bus or EventBus()
    tracing = tracing or create_tracing()
    database = database or Database(
        settings.database,
        pool_size=settings.database_pool_size,
        answer_seconds=settings.database_timeout_seconds,
        # A listener that hangs must not take the connections of the others, of webhooks, or of the pruner.
        max_locks=MAX_CONCURRENT_BATCHES * (len(durable_listeners) + 1) + 1,
    )
    redis = RedisConnection(settings.redis_url, database.url) if settings.redis_url else None
    counts = None if redis is None else SharedCounts(redis)
    timelines = timelines or _create_timelines(database, bus)
    transactions = SqlTransactions(database, bus, tracing, policies.storage.retention)
    queries = DatabaseQueries(database, policies.storage.lists)

    keyring = load_keyring(settings)
    jwt_auth = create_jwt_auth(keyring, timedelta(seconds=settings.access_token_seconds), timelines)
    tokens = SessionTokens(keyring, JWTAccessTokens(jwt_auth), timedelta(seconds=settings.session_seconds))
    passwords = Argon2Passwords(
        memory_kib=settings.argon2_memory_kib,
        iterations=settings.argon2_iterations,
        parallelism=settings.argon2_parallelism,
        threads=settings.password_threads,
        queue_limit=settings.password_queue_limit,
    )
    log_in_failures = RateLimit("login", settings.failure_limits, counts)
    password_failures = RateLimit("password", settings.failure_limits, counts)
    destinations = PublicDestinations(settings.webhook_allowed_networks)
    webhooks = WebhookService(transactions, destinations)
    webhook_client = WebhookClient(destinations, max_connections=MAX_CONCURRENT)
    webhook_queue = WebhookQueue(database)
    sender = WebhookSender(webhook_queue, webhook_client, policies.sender)
    bus.subscribe(DeliveriesQueued, sender.on_queued)
    wakeups = Wakeups()
    bus.subscribe(PostEvent, wakeups.on_change)
    bus.subscribe(SessionsChanged, wakeups.on_change)

    listeners = [DurableListener("webhooks", webhooks.queue, queries.webhook_owners), *durable_listeners]
    outbox = SqlOutbox(database, _distinct_names(listeners), policies.outbox)
    relays = [Relay(tracing.listener(listener), outbox, policies.relay) for listener in listeners]
    for relay in relays:
        bus.subscribe(PostEvent, relay.on_change)
    inspection = OutboxInspection(database, [listener.name for listener in listeners])

    list_cache = BoundedStore(settings.cache_max_bytes)
    metrics = Metrics(
        process_metrics(
            cache=list_cache,
            pools=database.pools(),
            log_ins=log_in_failures,
            passwords=passwords,
            wakeups=wakeups,
            redis=redis,
        ),
        BacklogMetrics(database, inspection, webhook_queue).read,
    )
    retention = replace(policies.storage.retention, events=timedelta(days=settings.event_retention_days))
    pruner = Pruner(database, retention=retention, interval=timedelta(seconds=settings.prune_seconds))
    background: list[BackgroundTask] = [metrics, pruner, sender, *relays]
    resources: list[Resource] = [webhook_client, destinations, database, tracing]
    if not database.is_sqlite:
        background.append(TimelineWatcher(wakeups, TimelineQueries(database).fingerprints, _WATCH_INTERVAL))
    if redis is not None:
        redis_wakeups = RedisWakeups(redis, wakeups)
        bus.subscribe(PostEvent, redis_wakeups.on_change)
        bus.subscribe(SessionsChanged, redis_wakeups.on_change)
        background += [redis, redis_wakeups]
        resources.append(redis)

    return Service(
        settings=settings,
        policies=policies,
        database=database,
        bus=bus,
        transactions=transactions,
        queries=queries,
        exports=ExportQueries(database, policies.storage.lists),
        timelines=timelines,
        jwt_auth=jwt_auth,
        principals=PrincipalFinder(jwt_auth, timelines),
        passwords=passwords,
        auth_limit=RateLimit("auth", settings.auth_rate_limit, counts),
        users=UserService(transactions, queries, passwords, tokens, password_failures),
        sessions=SessionService(transactions, queries, passwords, tokens, log_in_failures, policy=policies.sessions),
        posts=PostService(transactions),
        feeds=FeedService(queries, timelines, wakeups),
        webhooks=webhooks,
        wakeups=wakeups,
        inspection=inspection,
        pruner=pruner,
        list_cache=list_cache,
        readiness=Readiness(database, redis),
        metrics=metrics,
        tracing=tracing,
        background=background,
        resources=resources,
    )


def _create_timelines(database: Database, bus: EventBus) -> Timelines:
    if database.driver_pool is not None:
        return DatabaseTimelines(database.driver_pool)
    timelines = MemoryTimelines(TimelineQueries(database).state)
    bus.subscribe(PostEvent, timelines.on_post_event)
    bus.subscribe(SessionsChanged, timelines.on_sessions_changed)
    return timelines


def _distinct_names(listeners: Sequence[DurableListener]) -> list[str]:
    names = [listener.name for listener in listeners]
    if len(set(names)) < len(names):
        raise ConfigurationError("two durable listeners have one name")
    return names
