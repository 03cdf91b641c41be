"""The use cases on fakes: no database, no server, no waiting."""

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import pytest

from app.auth.keys import Keyring
from app.auth.mail_links import SignedLinks
from app.auth.session_tokens import SessionTokens
from app.ports.security import Principal
from app.services.feeds import FeedService
from app.services.mails import Mails
from app.services.personal_tokens import PersonalTokenService
from app.services.posts import PostService
from app.services.recovery import RecoveryService
from app.services.sessions import SessionPolicy, SessionService
from app.services.users import UserService
from app.services.webhooks import WebhookService
from app.shares import Share
from events.bus import EventBus
from events.types import Event, MailsQueued, PostEvent, SessionsChanged, UserEvent
from events.wakeups import Wakeups
from models import Session, SignUp, SignUpPolicy, TokenPair
from tests.fakes.database import InMemoryDatabase
from tests.fakes.queries import InMemoryQueries, InMemoryTimelines
from tests.fakes.security import (
    CountingLimit,
    CountingUses,
    ListedClients,
    ListedDestinations,
    NamedTokens,
    PlainPasswords,
)
from tests.fakes.transactions import InMemoryTransactions

PASSWORD = "correct horse battery"
FORBIDDEN_URL = "https://10.0.0.1/"


@dataclass
class World:
    """Every use case on one database in memory. `published` is what the bus published."""

    database: InMemoryDatabase = field(default_factory=InMemoryDatabase)
    passwords: PlainPasswords = field(default_factory=PlainPasswords)
    log_in_failures: CountingLimit = field(default_factory=CountingLimit)
    account_failures: CountingLimit = field(default_factory=lambda: CountingLimit(20))
    wakeups: Wakeups = field(default_factory=Wakeups)
    policy: SessionPolicy = field(default_factory=SessionPolicy)
    destinations: ListedDestinations = field(default_factory=lambda: ListedDestinations(FORBIDDEN_URL))
    address_checks: Share = field(default_factory=lambda: Share("webhook registrations", per_key=2, total=3))
    sends_mail: bool = True
    greets: bool = False
    sign_up_policy: SignUpPolicy = SignUpPolicy.OPEN
    published: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        bus = EventBus()
        self.transactions = InMemoryTransactions(self.database, bus)
        queries = InMemoryQueries(self.database)
        self.timelines = InMemoryTimelines(self.database)
        self.tokens = SessionTokens(Keyring("secret"), NamedTokens(), timedelta(days=30))
        self.links = SignedLinks(Keyring("secret"), "https://posts.example.com")
        self.mails = Mails(is_configured=self.sends_mail, greets=self.greets)
        known_clients = ListedClients()
        self.recovery = RecoveryService(
            self.transactions,
            queries,
            self.passwords,
            self.links,
            self.mails,
            password_failures=CountingLimit(),
            log_in_failures=self.log_in_failures,
            known_clients=known_clients,
            mails_to_address=CountingUses(),
            mails_by_client=CountingUses(max_uses=10),
        )
        self.users = UserService(
            self.transactions,
            queries,
            self.passwords,
            self.tokens,
            password_failures=CountingLimit(),
            known_clients=known_clients,
            mails=self.mails,
            sign_up_policy=self.sign_up_policy,
        )
        self.personal_tokens = PersonalTokenService(self.transactions)
        self.posts = PostService(self.transactions)
        self.webhooks = WebhookService(self.transactions, queries, self.destinations, self.address_checks)
        self.feeds = FeedService(queries, self.timelines, self.wakeups, heartbeat_seconds=3600, events_per_read=2)
        self.sessions = SessionService(
            self.transactions,
            queries,
            self.passwords,
            self.tokens,
            log_in_failures=self.log_in_failures,
            account_failures=self.account_failures,
            known_clients=known_clients,
            policy=self.policy,
        )
        bus.subscribe(PostEvent, self._note)
        bus.subscribe(UserEvent, self._note)
        bus.subscribe(SessionsChanged, self._note)
        bus.subscribe(MailsQueued, self._note)
        bus.subscribe(PostEvent, self.wakeups.on_change)
        bus.subscribe(SessionsChanged, self.wakeups.on_change)

    async def _note(self, event: Event) -> None:
        self.published.append(event)

    async def sign_up(self, email: str = "ada@example.com") -> Principal:
        return self.principal_of(await self.users.sign_up(SignUp(email=email, password=PASSWORD), "curl/8"))

    def principal_of(self, tokens: TokenPair) -> Principal:
        """Return whom the tokens authenticate."""
        session_id = self.tokens.claim(tokens.refresh_token).session_id
        (user_id,) = {session.user_id for session in self.database.all(Session) if session.id == session_id}
        return Principal(user_id, session_id, 0)

    def heard(self) -> list[tuple[str, UUID]]:
        """Return the type and user of each event of an account that was published."""
        return [(event.type, event.user_id) for event in self.published if isinstance(event, UserEvent)]

    def live(self, user: Principal) -> int:
        """Return how many sessions the user has."""
        return len(self.database.sessions(user.user_id))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def ada(world: World) -> Principal:
    return await world.sign_up()


@pytest.fixture
async def bob(world: World) -> Principal:
    return await world.sign_up("bob@example.com")
