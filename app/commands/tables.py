"""Tables on the terminal, and the same as JSON."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click


def print_table(heads: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    """Print rows in columns that are as wide as their longest cell."""
    lines = [heads, *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def to_json(objects: Sequence[dict[str, Any]]) -> str:
    """Return a JSON list of objects, whose values may be times and ids."""
    return json.dumps(objects, default=lambda value: format_time(value) if isinstance(value, datetime) else str(value))


def format_time(value: datetime | None) -> str:
    """Return a time to the second, in UTC, or nothing for none."""
    return "" if value is None else f"{value:%Y-%m-%dT%H:%M:%SZ}"
