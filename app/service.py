"""The composition root: every part of the service, without HTTP around it."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from urllib.parse import urlsplit

from litestar.security.jwt import JWTAuth

from app.auth.jwt_auth import AccessToken, JWTAccessTokens, PrincipalFinder, create_jwt_auth
from app.auth.keys import load_keyring
from app.auth.mail_links import SignedLinks
from app.auth.passwords import Argon2Passwords
from app.auth.personal_tokens import PersonalTokens
from app.auth.rate_limits import RateLimit, RememberedClients
from app.auth.session_tokens import SessionTokens
from app.auth.shared_counts import SharedCounts
from app.database.engines import MAX_SNAPSHOTS, Database
from app.database.file_watcher import FileWatcher
from app.database.redis_connection import RedisConnection
from app.delivery.destinations import PublicDestinations
from app.delivery.host_lookup import HostLookup
from app.delivery.mail_queue import MailQueue
from app.delivery.mail_sender import MailPolicy, MailSender
from app.delivery.mail_transports import FileTransport, MailTransport, SMTPTransport
from app.delivery.outbox import OutboxPolicy, SqlOutbox
from app.delivery.outbox_inspection import OutboxInspection
from app.delivery.redis_wakeups import RedisWakeups
from app.delivery.timeline_watcher import TimelineWatcher
from app.delivery.webhook_client import WebhookClient
from app.delivery.webhook_queue import WebhookQueue
from app.delivery.webhook_sender import MAX_CONCURRENT, SenderPolicy, WebhookSender, sends
from app.errors import ConfigurationError
from app.http.large_answers import AnswerPolicy, LargeAnswers
from app.http.large_bodies import BodyPolicy, LargeBodies
from app.http.response_store import BoundedStore
from app.ports.mail import Links
from app.ports.security import Principal
from app.ports.timelines import Timelines
from app.ports.unit_of_work import Transactions
from app.server.lifespan import BackgroundTask, LifespanPolicy, Resource, lifespan
from app.server.readiness import Readiness
from app.services.export_reader import ImportPolicy
from app.services.feeds import FeedService
from app.services.imports import ImportService
from app.services.mails import Mails
from app.services.personal_tokens import PersonalTokenService
from app.services.posts import PostService
from app.services.recovery import RecoveryService
from app.services.sessions import SessionPolicy, SessionService
from app.services.users import UserService
from app.services.webhooks import WebhookService
from app.settings import Environment, Settings
from app.shares import Share, Turns
from app.storage.exports import ExportQueries
from app.storage.policy import StoragePolicy
from app.storage.pruning import Pruner
from app.storage.queries import DatabaseQueries
from app.storage.token_uses import TokenUses
from app.storage.unit_of_work import SqlTransactions
from app.telemetry.backlog_metrics import BacklogMetrics
from app.telemetry.logs import configure_logging
from app.telemetry.metrics import Metrics
from app.telemetry.process_metrics import process_metrics
from app.telemetry.tracing import Tracing, create_tracing
from app.timelines.database import DatabaseTimelines
from app.timelines.memory import MemoryTimelines
from app.timelines.other_processes import OtherProcesses
from app.timelines.queries import TimelineQueries
from events.bus import EventBus
from events.relay import MAX_CONCURRENT_BATCHES, DurableListener, Relay, RelayPolicy
from events.types import DeliveriesQueued, MailsQueued, PostEvent, SessionsChanged
from events.wakeups import Wakeups

_DEFAULT_SENDER = "Postline <postline@localhost>"
_WATCH_INTERVAL = timedelta(seconds=0.5)
# A use of a personal token is shown within a minute, of which this leaves some for the write.
_TOKEN_USE_INTERVAL = timedelta(seconds=50)


@dataclass(frozen=True)
class Policies:
    """The bounds and delays of the service that are not settings. Tests pass others."""

    answers: AnswerPolicy = field(default_factory=AnswerPolicy)
    bodies: BodyPolicy = field(default_factory=BodyPolicy)
    imports: ImportPolicy = field(default_factory=ImportPolicy)
    sessions: SessionPolicy = field(default_factory=SessionPolicy)
    storage: StoragePolicy = field(default_factory=StoragePolicy)
    outbox: OutboxPolicy = field(default_factory=OutboxPolicy)
    relay: RelayPolicy = field(default_factory=RelayPolicy)
    sender: SenderPolicy = field(default_factory=SenderPolicy)
    mail: MailPolicy = field(default_factory=MailPolicy)
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
    imports: ImportService
    timelines: Timelines
    jwt_auth: JWTAuth[Principal, AccessToken]
    principals: PrincipalFinder
    passwords: Argon2Passwords
    auth_limit: RateLimit
    write_limit: RateLimit | None
    users: UserService
    sessions: SessionService
    personal_tokens: PersonalTokenService
    token_uses: TokenUses
    recovery: RecoveryService
    links: Links
    mails: Mails
    mail_queue: MailQueue
    posts: PostService
    feeds: FeedService
    webhooks: WebhookService
    webhook_queue: WebhookQueue
    destinations: PublicDestinations
    wakeups: Wakeups
    inspection: OutboxInspection
    pruner: Pruner
    list_cache: BoundedStore
    large_answers: LargeAnswers
    large_bodies: LargeBodies
    open_feeds: Share
    bodies: Share
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
    log = configure_logging(
        as_json=settings.environment is Environment.PRODUCTION, lines_per_minute=settings.access_log_lines_per_minute
    )
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
    transactions = SqlTransactions(database, bus, tracing, policies.storage.retention, settings.quotas)
    queries = DatabaseQueries(database, policies.storage.lists, transactions.quotas)

    keyring = load_keyring(settings)
    token_uses = TokenUses(database, _TOKEN_USE_INTERVAL)
    jwt_auth = create_jwt_auth(
        keyring,
        timedelta(seconds=settings.access_token_seconds),
        timelines,
        PersonalTokens(queries.grant, timelines, token_uses.note),
        queries.session_end,
    )
    tokens = SessionTokens(keyring, JWTAccessTokens(jwt_auth), timedelta(seconds=settings.session_seconds))
    passwords = Argon2Passwords(
        memory_kib=settings.argon2_memory_kib,
        iterations=settings.argon2_iterations,
        parallelism=settings.argon2_parallelism,
        threads=settings.password_threads,
        queue_limit=settings.password_queue_limit,
        queue_share=settings.password_queue_share,
        stored_parameters=queries.password_parameters,
    )
    log_in_failures = RateLimit("login", settings.failure_limits, counts)
    password_failures = RateLimit("password", settings.failure_limits, counts)
    known_clients = RememberedClients(counts)
    destinations = PublicDestinations(
        settings.webhook_allowed_networks, HostLookup(name_servers=settings.webhook_name_servers)
    )
    address_checks = Share("webhook registrations", per_key=2, total=64)
    webhooks = WebhookService(transactions, queries, destinations, address_checks)
    webhook_client = WebhookClient(destinations, max_connections=MAX_CONCURRENT)
    webhook_queue = WebhookQueue(database)
    sending = sends()
    sender = WebhookSender(webhook_queue, webhook_client, sending, policies.sender)
    bus.subscribe(DeliveriesQueued, sender.on_queued)
    links = SignedLinks(keyring, settings.links_lead_to or "")
    mails = Mails(is_configured=settings.sends_mail, greets=settings.mail_server is not None)
    mail_queue = MailQueue(database)
    wakeups = _create_wakeups(bus)

    listeners = [DurableListener("webhooks", webhooks.queue, queries.webhook_owners), *durable_listeners]
    outbox = SqlOutbox(database, _distinct_names(listeners), policies.outbox)
    relays = [_create_relay(tracing.listener(listener), outbox, bus, policies.relay) for listener in listeners]
    inspection = OutboxInspection(database, [listener.name for listener in listeners])

    # On SQLite, which has one writer, a second one would only wait for the first.
    posts = PostService(transactions, max_group_commits=1 if database.is_sqlite else 2)
    imports = ImportService(transactions, timelines, policies.imports)
    large_answers = LargeAnswers(
        settings.data_dir,
        max_memory=settings.answers_max_bytes,
        max_spool=0 if settings.is_in_memory else settings.spool_max_bytes,
        max_snapshots=MAX_SNAPSHOTS,
        policy=policies.answers,
    )
    open_feeds = Share("feeds", per_key=settings.feeds_per_user, total=settings.feeds_max)
    bodies = Share("request bodies", per_key=settings.bodies_max_bytes // 4, total=settings.bodies_max_bytes)
    shares: list[Share | Turns] = [
        database.read_turns,
        database.snapshot_turns,
        transactions.turns,
        posts.long_texts,
        imports.imports,
        large_answers.memory,
        large_answers.spool.share,
        open_feeds,
        bodies,
        address_checks,
        sending,
        passwords.share,
    ]
    list_cache = BoundedStore(settings.cache_max_bytes)
    metrics = Metrics(
        process_metrics(
            cache=list_cache,
            pools=database.pools(),
            log_ins=log_in_failures,
            passwords=passwords,
            wakeups=wakeups,
            redis=redis,
            shares=shares,
            quotas=transactions.quotas,
            log=log,
        ),
        BacklogMetrics(database, inspection, webhook_queue, mail_queue).read,
    )
    pruner = Pruner(
        database,
        retention=replace(policies.storage.retention, events=timedelta(days=settings.event_retention_days)),
        interval=timedelta(seconds=settings.prune_seconds),
    )
    background: list[BackgroundTask] = [
        metrics,
        pruner,
        token_uses,
        sender,
        *relays,
        *_mail_senders(settings, bus, mail_queue, links, policies.mail),
        *_watchers(database, timelines, wakeups),
    ]
    resources: list[Resource] = [webhook_client, database, tracing, log]
    if redis is not None:
        background += [redis, _share_wakeups(redis, bus, wakeups)]
        resources.append(redis)

    return Service(
        settings=settings,
        policies=policies,
        database=database,
        bus=bus,
        transactions=transactions,
        queries=queries,
        exports=ExportQueries(database, policies.storage.lists, transactions.quotas),
        imports=imports,
        timelines=timelines,
        jwt_auth=jwt_auth,
        principals=PrincipalFinder(jwt_auth, timelines),
        passwords=passwords,
        auth_limit=RateLimit("auth", settings.auth_rate_limit, counts),
        write_limit=RateLimit("writes", settings.write_rate_limit, counts) if settings.write_rate_limit else None,
        recovery=RecoveryService(
            transactions,
            queries,
            passwords,
            links,
            mails,
            password_failures=password_failures,
            log_in_failures=log_in_failures,
            known_clients=known_clients,
            mails_to_address=RateLimit("mail", settings.mail_rate_limit, counts),
            mails_by_client=RateLimit("mail-client", settings.mail_client_rate_limit, counts),
        ),
        links=links,
        mails=mails,
        mail_queue=mail_queue,
        users=UserService(
            transactions,
            queries,
            passwords,
            tokens,
            password_failures=password_failures,
            known_clients=known_clients,
            mails=mails,
            sign_up_policy=settings.sign_up,
        ),
        sessions=SessionService(
            transactions,
            queries,
            passwords,
            tokens,
            log_in_failures=log_in_failures,
            account_failures=RateLimit("account", settings.account_failure_limits, counts),
            known_clients=known_clients,
            policy=policies.sessions,
        ),
        personal_tokens=PersonalTokenService(transactions),
        token_uses=token_uses,
        posts=posts,
        feeds=FeedService(queries, timelines, wakeups),
        webhooks=webhooks,
        webhook_queue=webhook_queue,
        destinations=destinations,
        wakeups=wakeups,
        inspection=inspection,
        pruner=pruner,
        list_cache=list_cache,
        large_answers=large_answers,
        large_bodies=LargeBodies(settings.import_max_bytes, policies.bodies),
        open_feeds=open_feeds,
        bodies=bodies,
        readiness=Readiness(database, redis),
        metrics=metrics,
        tracing=tracing,
        background=background,
        resources=resources,
    )


def _create_timelines(database: Database, bus: EventBus) -> Timelines:
    if database.driver_pool is not None:
        return DatabaseTimelines(database.driver_pool)
    timelines = MemoryTimelines(TimelineQueries(database).state, require=database.require_file)
    bus.subscribe(PostEvent, timelines.on_post_event)
    bus.subscribe(SessionsChanged, timelines.on_sessions_changed)
    return timelines


def _create_wakeups(bus: EventBus) -> Wakeups:
    wakeups = Wakeups()
    bus.subscribe(PostEvent, wakeups.on_change)
    bus.subscribe(SessionsChanged, wakeups.on_change)
    return wakeups


def _create_relay(listener: DurableListener, outbox: SqlOutbox, bus: EventBus, policy: RelayPolicy) -> Relay:
    relay = Relay(listener, outbox, policy)
    bus.subscribe(PostEvent, relay.on_change)
    return relay


def _mail_senders(
    settings: Settings, bus: EventBus, queue: MailQueue, links: Links, policy: MailPolicy
) -> list[BackgroundTask]:
    """Return what sends mails, if the settings say where to or how to do without."""
    if not settings.sends_mail:
        return []
    from app.delivery.mail_messages import MailMessages  # noqa: PLC0415 - it loads what renders the templates

    public_url = settings.links_lead_to or ""
    messages = MailMessages(
        links,
        sender=settings.mail_from or _DEFAULT_SENDER,
        public_url=public_url,
        templates=settings.mail_templates,
    )
    if (server := settings.mail_server) is None:
        transport: MailTransport = FileTransport(settings.data_dir / "mail")
    else:
        transport = SMTPTransport(server, client_name=urlsplit(public_url).hostname or "localhost")
    sender = MailSender(queue, messages, transport, policy)
    bus.subscribe(MailsQueued, sender.on_queued)
    return [sender]


def _share_wakeups(redis: RedisConnection, bus: EventBus, wakeups: Wakeups) -> BackgroundTask:
    """Return what wakes feeds on other nodes, and those here for changes there."""
    redis_wakeups = RedisWakeups(redis, wakeups)
    bus.subscribe(PostEvent, redis_wakeups.on_change)
    bus.subscribe(SessionsChanged, redis_wakeups.on_change)
    return redis_wakeups


def _watchers(database: Database, timelines: Timelines, wakeups: Wakeups) -> list[BackgroundTask]:
    """Return the tasks that notice changes by other nodes or, on a SQLite file, by commands and when it is replaced."""
    if database.is_in_memory:
        return []
    if not isinstance(timelines, MemoryTimelines):
        return [TimelineWatcher(wakeups, TimelineQueries(database).fingerprints, _WATCH_INTERVAL)]

    def on_commit() -> None:
        timelines.forget()
        wakeups.wake_all()

    return [FileWatcher(database), OtherProcesses(database, on_commit)]


def _distinct_names(listeners: Sequence[DurableListener]) -> list[str]:
    names = [listener.name for listener in listeners]
    if len(set(names)) < len(names):
        raise ConfigurationError("two durable listeners have one name")
    return names
