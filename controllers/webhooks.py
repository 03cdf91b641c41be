"""`/webhooks`: addresses that the current user's changes are sent to."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Tag
from litestar.params import JSONBody, PathParameter

from app.auth.jwt_auth import AuthenticatedRequest
from app.errors import TooManyWebhooks
from app.services.webhooks import WebhookService
from app.storage.queries import DatabaseQueries
from controllers.documentation import BEARER, problems
from models import WebhookCreate, WebhookCreated, WebhookDeliveryRead, WebhookRead

TAG = Tag(name="Webhooks", description="Addresses that the current user's changes are sent to.")

_RECENT_DELIVERIES = 100

WebhookID = Annotated[UUID, PathParameter(description="The webhook's `id`.")]


class WebhookController(Controller):
    """Registers, lists and deletes the current user's webhooks."""

    path = "/webhooks"
    tags = [TAG.name]
    security = BEARER

    @post(
        operation_id="createWebhook",
        summary="Register a webhook",
        description=(
            "From now on, each change is sent to the address with `POST`, in order, and signed according to Standard "
            "Webhooks with the secret that only this answer contains. A delivery that is not answered with 2xx within "
            "10 seconds is retried with backoff, for at most a day."
        ),
        response_description="The webhook, with the secret that signs what is sent.",
        responses=problems(400, 401, TooManyWebhooks, 413, 415, 503),
    )
    async def create_webhook(
        self,
        data: JSONBody[WebhookCreate],
        request: AuthenticatedRequest,
        webhooks: NamedDependency[WebhookService],
    ) -> WebhookCreated:
        """Answer `POST /webhooks`."""
        return await webhooks.create(request.user.user_id, data)

    @get(
        operation_id="listWebhooks",
        summary="List the webhooks",
        description="Lists the webhooks, newest first.",
        response_description="The webhooks, newest first.",
        responses=problems(401, 503),
    )
    async def list_webhooks(
        self, request: AuthenticatedRequest, queries: NamedDependency[DatabaseQueries]
    ) -> Sequence[WebhookRead]:
        """Answer `GET /webhooks`."""
        return await queries.webhooks(request.user.user_id)

    @delete(
        "/{id:uuid}",
        operation_id="deleteWebhook",
        summary="Delete a webhook",
        description="Deletes the webhook. A delivery that is in progress may still arrive.",
        response_description="The webhook is gone.",
        responses=problems(401, 404, 503),
    )
    async def delete_webhook(
        self, id: WebhookID, request: AuthenticatedRequest, webhooks: NamedDependency[WebhookService]
    ) -> None:
        """Answer `DELETE /webhooks/{id}`."""
        await webhooks.delete(request.user.user_id, id)

    @get(
        "/{id:uuid}/deliveries",
        operation_id="listWebhookDeliveries",
        summary="List a webhook's deliveries",
        description="Lists the hundred newest deliveries, newest first, each with its outcome.",
        response_description="The deliveries, newest first.",
        responses=problems(401, 404, 503),
    )
    async def list_deliveries(
        self, id: WebhookID, request: AuthenticatedRequest, queries: NamedDependency[DatabaseQueries]
    ) -> Sequence[WebhookDeliveryRead]:
        """Answer `GET /webhooks/{id}/deliveries`."""
        return await queries.webhook_deliveries(request.user.user_id, id, limit=_RECENT_DELIVERIES)
