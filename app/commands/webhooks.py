"""`litestar webhooks`: addresses of the operator's that get everybody's changes."""

import json
from collections.abc import Sequence
from uuid import UUID

import click
from litestar.plugins import CLIPlugin
from pydantic import ValidationError

from app.commands.asking import ask
from app.commands.tables import format_time, print_table
from app.database.engines import Database
from app.delivery.webhook_queue import OperatorWebhookStatus, WebhookQueue
from app.errors import InvalidRequest
from app.ports.security import Destinations
from app.ports.unit_of_work import Transactions
from app.services.operator_webhooks import OperatorWebhookService
from models import WebhookCreate

_HEADS = ("WEBHOOK", "URL", "EVENTS", "ADDED", "WAITING", "FAILING SINCE", "DISABLED")

_as_json = click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")


class WebhookCommands(CLIPlugin):
    """Adds `litestar webhooks add`, `list` and `remove`, which work beside a running service."""

    def __init__(
        self, database: Database, transactions: Transactions, destinations: Destinations, queue: WebhookQueue
    ) -> None:
        self._database = database
        self._queue = queue
        self._webhooks = OperatorWebhookService(transactions, destinations)

    def on_cli_init(self, cli: click.Group) -> None:
        """Add the commands."""

        @cli.group(help="Send everybody's changes to addresses of the operator's.")
        def webhooks() -> None: ...

        @webhooks.command(help="Send everybody's changes to an address from now on. Prints the secret that signs them.")
        @click.argument("url")
        @click.option("--event", "events", multiple=True, help="An event to send, such as post.created; else all.")
        @_as_json
        def add(url: str, events: Sequence[str], *, as_json: bool) -> None:
            webhook = ask(self._database, lambda: self._add(url, events))
            if as_json:
                click.echo(json.dumps([{"id": str(webhook[0]), "url": webhook[1], "secret": webhook[2]}]))
                return
            print_table(("WEBHOOK", "URL", "SECRET"), [webhook])

        @webhooks.command("list", help="List the operator's webhooks, and how many deliveries wait for each.")
        @_as_json
        def list_webhooks(*, as_json: bool) -> None:
            found = ask(self._database, self._queue.operator_webhooks)
            if as_json:
                click.echo(json.dumps([_object(one) for one in found]))
                return
            print_table(_HEADS, [_row(one) for one in found])

        @webhooks.command(help="Remove one of the operator's webhooks, with the deliveries that wait.")
        @click.argument("webhook", type=click.UUID)
        @_as_json
        def remove(webhook: UUID, *, as_json: bool) -> None:
            ask(self._database, lambda: self._webhooks.remove(webhook))
            if as_json:
                click.echo(json.dumps([{"id": str(webhook)}]))

    async def _add(self, url: str, events: Sequence[str]) -> tuple[UUID, str, str]:
        try:
            form = WebhookCreate.model_validate({"url": url} | ({"events": events} if events else {}))
            webhook = await self._webhooks.add(form)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            raise SystemExit(f"postline: {first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}") from None
        except InvalidRequest as error:
            raise SystemExit(f"postline: url: {error.members['errors'][0]['message']}") from None
        return webhook.id, webhook.url, webhook.secret


def _row(webhook: OperatorWebhookStatus) -> tuple[object, ...]:
    return (
        webhook.id,
        webhook.url,
        " ".join(webhook.events),
        format_time(webhook.created_at),
        webhook.waiting,
        format_time(webhook.failing_since),
        webhook.disabled_reason or "",
    )


def _object(webhook: OperatorWebhookStatus) -> dict[str, object]:
    times: dict[str, object] = {
        name: format_time(getattr(webhook, name)) or None for name in ("created_at", "failing_since", "disabled_at")
    }
    return webhook._asdict() | {"id": str(webhook.id)} | times
