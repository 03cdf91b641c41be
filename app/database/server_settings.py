"""Settings of a MySQL or MariaDB server that no session can change, and under which the service can't work."""

from sqlalchemy import text

from app.database.engines import Database
from app.errors import ConfigurationError

# A text of 1 MiB in which every byte has to be escaped, and the rest of its statement.
_LONGEST_STATEMENT = 2 * 1024 * 1024 + 64 * 1024

_VARIABLES = text("SHOW GLOBAL VARIABLES WHERE variable_name IN ('max_allowed_packet', 'log_bin', 'binlog_format')")


async def check_server_settings(database: Database) -> None:
    """Return if the server takes everything that the service may write.

    Raises:
        ConfigurationError: It would refuse some of it.
        sqlalchemy.exc.DBAPIError: The database does not answer.
    """
    async with database.reading() as connection:
        found = {name.lower(): value for name, value in (await connection.execute(_VARIABLES)).all()}
    if int(found["max_allowed_packet"]) < _LONGEST_STATEMENT:
        raise ConfigurationError(
            f"the database server's max_allowed_packet is {found['max_allowed_packet']} bytes, and a post may need "
            f"{_LONGEST_STATEMENT}: set it to 4M or more"
        )
    if found.get("log_bin") == "ON" and found.get("binlog_format") == "STATEMENT":
        raise ConfigurationError(
            "the database server's binlog_format is STATEMENT, with which it refuses writes in READ COMMITTED: "
            "set it to ROW or MIXED"
        )
