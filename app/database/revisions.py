"""The migrations of this version of the service, as Alembic knows them.

To load Alembic, and each migration with it, takes a tenth of the time of a start. So `app.database.schema` imports this
module only for a database that lacks migrations or has others, and for the commands about them.
"""

from functools import cache

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from app.database.schema import ALEMBIC_INI


@cache
def scripts() -> ScriptDirectory:
    """Return the migrations."""
    return ScriptDirectory.from_config(Config(ALEMBIC_INI))


@cache
def known() -> frozenset[str]:
    """Return the revision of every migration."""
    return frozenset(script.revision for script in scripts().walk_revisions())


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Apply the migrations up to a revision."""
    config = Config(ALEMBIC_INI)
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
