"""`/webhooks`: addresses that the current user's changes are sent to."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Tag
from litestar.params import JSONBody, PathParameter

from app.auth.jwt_auth import AuthenticatedRequest
from app.auth.scopes import WEBHOOKS
from app.errors import HistoryNotKept, QuotaExceeded, TooManyWebhooks
from app.http.request_body import MAX_FORM_BYTES, MAX_URL_BYTES, too_large
from app.services.webhooks import WebhookService
from app.storage.queries import DatabaseQueries
from controllers.documentation import BEARER, problems
from controllers.write_limit import limit_writes
from controllers.writes import REPLAYED, IdempotencyKeyHeader, write_headers
from models import WebhookCreate, WebhookCreated, WebhookDeliveryRead, WebhookRead, WebhookReplay, WebhookUpdate

TAG = Tag(name="Webhooks", description="Addresses that the current user's changes are sent to.")

_RECENT_DELIVERIES = 100

WebhookID = Annotated[UUID, PathParameter(description="The webhook's `id`.")]


class WebhookController(Controller):
    """Registers, lists, mends and deletes the current user's webhooks."""

    path = "/webhooks"
    tags = [TAG.name]
    security = BEARER
    before_request = staticmethod(limit_writes)
    opt = WEBHOOKS

    @post(
        operation_id="createWebhook",
        summary="Register a webhook",
        description=(
            "From now on, each change is sent to the address with `POST`, in order, and signed according to Standard "
            "Webhooks with the secret that only this answer contains. A delivery that is not answered with 2xx within "
            "15 seconds is retried with backoff, for at most three days."
        ),
        response_description="The webhook, with the secret that signs what is sent.",
        request_max_body_size=MAX_URL_BYTES,
        responses=problems(
            400,
            401,
            QuotaExceeded,
            404,
            TooManyWebhooks,
            413,
            415,
            422,
            429,
            503,
            on_404="The webhook that an earlier request with the same key registered is deleted.",
            on_413=too_large(MAX_URL_BYTES),
        ),
        response_headers=[REPLAYED],
    )
    async def create_webhook(
        self,
        data: JSONBody[WebhookCreate],
        request: AuthenticatedRequest,
        webhooks: NamedDependency[WebhookService],
        idempotency_key: IdempotencyKeyHeader = None,
    ) -> Response[WebhookCreated]:
        """Answer `POST /webhooks`."""
        registered = await webhooks.create(request.user.user_id, data, idempotency_key)
        return Response(registered.webhook, headers=write_headers(None, is_replayed=registered.is_replayed))

    @get(
        operation_id="listWebhooks",
        summary="List the webhooks",
        description="Lists the webhooks, newest first.",
        response_description="The webhooks, newest first.",
        responses=problems(401, 429, 503),
    )
    async def list_webhooks(
        self, request: AuthenticatedRequest, queries: NamedDependency[DatabaseQueries]
    ) -> Sequence[WebhookRead]:
        """Answer `GET /webhooks`."""
        return await queries.webhooks(request.user.user_id)

    @get(
        "/{id:uuid}",
        operation_id="getWebhook",
        summary="Read a webhook",
        description="Answers with the webhook, without its secret.",
        response_description="The webhook.",
        responses=problems(401, 404, 429, 503),
    )
    async def get_webhook(
        self, id: WebhookID, request: AuthenticatedRequest, queries: NamedDependency[DatabaseQueries]
    ) -> WebhookRead:
        """Answer `GET /webhooks/{id}`."""
        return await queries.webhook(request.user.user_id, id)

    @patch(
        "/{id:uuid}",
        operation_id="updateWebhook",
        summary="Change, disable or enable a webhook",
        description=(
            "Changes what the body names. A webhook that is enabled again, because it was disabled by its owner or "
            "after three days of failures, gets what it has missed, in order, as far as history is kept. What waits is "
            "sent to a new address at once."
        ),
        response_description="The webhook as it is now.",
        request_max_body_size=MAX_URL_BYTES,
        responses=problems(400, 401, 404, 413, 415, 429, 503, on_413=too_large(MAX_URL_BYTES)),
    )
    async def update_webhook(
        self,
        id: WebhookID,
        data: JSONBody[WebhookUpdate],
        request: AuthenticatedRequest,
        webhooks: NamedDependency[WebhookService],
    ) -> WebhookRead:
        """Answer `PATCH /webhooks/{id}`."""
        return await webhooks.update(request.user.user_id, id, data)

    @post(
        "/{id:uuid}/secret",
        operation_id="rotateWebhookSecret",
        summary="Replace a webhook's secret",
        description=(
            "Makes a new secret. For 24 hours each request is signed with both, as Standard Webhooks has it, so that "
            "a receiver can change over without refusing any. A secret from before those two ends at once."
        ),
        response_description="The webhook, with its new secret.",
        status_code=200,
        responses=problems(401, 404, 429, 503),
    )
    async def rotate_secret(
        self, id: WebhookID, request: AuthenticatedRequest, webhooks: NamedDependency[WebhookService]
    ) -> WebhookCreated:
        """Answer `POST /webhooks/{id}/secret`."""
        return await webhooks.rotate_secret(request.user.user_id, id)

    @post(
        "/{id:uuid}/test",
        operation_id="testWebhook",
        summary="Send a test to a webhook",
        description=(
            "Queues a signed event of type `webhook.test`, in place of the last test. It is tried once, before all "
            "that waits, also if the webhook is disabled; it disables none. The webhook's deliveries list the outcome, "
            "as version 0."
        ),
        response_description="The test is queued.",
        status_code=202,
        responses=problems(401, 404, 429, 503),
    )
    async def test_webhook(
        self, id: WebhookID, request: AuthenticatedRequest, webhooks: NamedDependency[WebhookService]
    ) -> WebhookDeliveryRead:
        """Answer `POST /webhooks/{id}/test`."""
        return await webhooks.test(request.user.user_id, id)

    @post(
        "/{id:uuid}/redeliver",
        operation_id="redeliverWebhook",
        summary="Deliver changes again",
        description=(
            "Queues all changes after a version of the timeline again, in order: those that were delivered, those that "
            "failed, and those from before the webhook was registered. Each keeps its `webhook-id`. A disabled webhook "
            "gets them when it is enabled."
        ),
        response_description="The changes are queued.",
        request_max_body_size=MAX_FORM_BYTES,
        status_code=202,
        responses=problems(400, 401, 404, HistoryNotKept, 413, 415, 429, 503),
    )
    async def redeliver(
        self,
        id: WebhookID,
        data: JSONBody[WebhookReplay],
        request: AuthenticatedRequest,
        webhooks: NamedDependency[WebhookService],
    ) -> WebhookRead:
        """Answer `POST /webhooks/{id}/redeliver`."""
        return await webhooks.replay(request.user.user_id, id, data.after)

    @delete(
        "/{id:uuid}",
        operation_id="deleteWebhook",
        summary="Delete a webhook",
        description="Deletes the webhook. A delivery that is in progress may still arrive.",
        response_description="The webhook is gone.",
        responses=problems(401, 404, 429, 503),
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
        description="Lists the hundred newest deliveries, newest first after the last test, each with its outcome.",
        response_description="The deliveries, newest first.",
        responses=problems(401, 404, 429, 503),
    )
    async def list_deliveries(
        self, id: WebhookID, request: AuthenticatedRequest, queries: NamedDependency[DatabaseQueries]
    ) -> Sequence[WebhookDeliveryRead]:
        """Answer `GET /webhooks/{id}/deliveries`."""
        return await queries.webhook_deliveries(request.user.user_id, id, limit=_RECENT_DELIVERIES)
