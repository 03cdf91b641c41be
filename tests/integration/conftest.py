import pytest

from app.database.engines import Database
from tests.integration.ledger import Ledger


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)
