"""What the service sends unasked, for the OpenAPI document: the feed's events, and the calls of webhooks."""

from datetime import datetime
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta, Struct

from controllers.documentation import described
from events.types import EventType, PostEventData
from models.example import POST_ID, TIME


class FeedReset(Struct):
    """The history after the requested version is not kept: read the list again, and resume after this version."""

    version: int


class WebhookEvent(Struct):
    """The body of a webhook's call (Standard Webhooks)."""

    type: EventType
    timestamp: Annotated[datetime, Meta(tz=True)]
    data: PostEventData


_REFERENCE = "#/components/schemas/{name}"

SCHEMAS: dict[str, dict[str, Any]] = msgspec.json.schema_components(
    [PostEventData, FeedReset, WebhookEvent], ref_template=_REFERENCE
)[1]

FEED_EVENTS: dict[str, dict[str, Any]] = {
    **{event: {"$ref": _REFERENCE.format(name="PostEventData")} for event in get_args(EventType)},
    # It stands here, as linters see no use of a component in an extension.
    "reset": SCHEMAS.pop("FeedReset"),
}
"""The schema of the feed's `data`, by `event`."""

_HEADERS = {
    "webhook-id": "The same for each attempt to deliver one event.",
    "webhook-timestamp": "When the attempt was made, in seconds since 1970.",
    "webhook-signature": "`v1,` and the signature by the webhook's secret, for each secret that is valid.",
}


def _call(event: str) -> dict[str, Any]:
    data = {"postID": POST_ID, "version": 17, "occurred_at": TIME, "type": event}
    content = {
        "schema": {"$ref": _REFERENCE.format(name="WebhookEvent")},
        "example": {"type": event, "timestamp": TIME, "data": data},
    }
    return {
        "post": {
            "operationId": f"on{event.title().replace('.', '')}",
            "summary": f"A webhook's call of type {event}",
            "description": "Sent in order until it is answered with 2xx, and signed according to Standard Webhooks.",
            "parameters": [
                {"name": name, "in": "header", "required": True} | described(description)
                for name, description in _HEADERS.items()
            ],
            "requestBody": {"required": True, "content": {"application/json": content}},
            "responses": {"2XX": {"description": "The event is taken. Any other answer is tried again."}},
            "security": [],
            "tags": ["Webhooks"],
        }
    }


WEBHOOK_CALLS: dict[str, dict[str, Any]] = {event: _call(event) for event in get_args(EventType)}
"""The document's `webhooks` (OpenAPI 3.1, section 4.8.1)."""
