"""Copies of what one owner has in a SQLite database in memory, into another one."""

import re
import sqlite3
from uuid import UUID

# What is not here stands in the table's column `user_id`. A table that has none is not copied.
_OWNED_BY = {
    "users": "id = :owner",
    "webhook_deliveries": "webhook_id IN (SELECT id FROM main.webhooks WHERE user_id = :owner)",
}


def open_in_memory(*pragmas: str) -> sqlite3.Connection:
    """Return an empty database in memory, for any thread."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    # Else a large sort would be written to a temporary file.
    for pragma in ("temp_store=MEMORY", *pragmas):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def copy_owned(source: sqlite3.Connection, owner_id: UUID | None) -> sqlite3.Connection:
    """Return another database in memory with the rows of one owner."""
    owner = {"owner": None if owner_id is None else owner_id.bytes}
    # SQLite itself moves the rows, into a second database of the connection: by way of Python it takes five times as
    # long, during which nobody else is served.
    source.executescript("PRAGMA foreign_keys=OFF; ATTACH ':memory:' AS copy; BEGIN")
    try:
        for table, definition in _definitions(source, "table"):
            condition = _condition(source, table)
            if condition is not None:
                source.execute(definition)
                source.execute(f"INSERT INTO copy.{table} SELECT * FROM main.{table} WHERE {condition}", owner)  # noqa: S608
        copied = {table for (table,) in source.execute("SELECT name FROM copy.sqlite_master")}
        for table, definition in _definitions(source, "index"):
            if table in copied:
                source.execute(definition)
        source.execute("COMMIT")
        copy = open_in_memory()
        source.backup(copy, name="copy")
    finally:
        source.rollback()
        source.executescript("DETACH copy; PRAGMA foreign_keys=ON")
    return copy


def _definitions(source: sqlite3.Connection, kind: str) -> list[tuple[str, str]]:
    """Return each table, or the table of each index, and the statement that creates the same in the copy."""
    statement = "SELECT tbl_name, sql FROM main.sqlite_master WHERE type = ? AND sql IS NOT NULL"
    return [
        (table, re.sub("^CREATE (TABLE|INDEX|UNIQUE INDEX) ", r"\g<0>copy.", definition))
        for table, definition in source.execute(statement, (kind,))
    ]


def _condition(source: sqlite3.Connection, table: str) -> str | None:
    """Return the condition under which a row of the table is the owner's, or `None` if none is anybody's."""
    columns = {column for _, column, *_ in source.execute(f"PRAGMA main.table_info({table})")}
    return _OWNED_BY.get(table, "user_id = :owner" if "user_id" in columns else None)
