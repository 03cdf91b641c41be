"""Links from each operation's answer to the operations that can follow it (OpenAPI 3.1, section 4.8.20)."""

from typing import Any

_THE_POST = {"path.postID": "$response.body#/postID"}
_THE_VERSION = {"header.If-Match": "$response.header.ETag"}
_IF_CHANGED = {"header.If-None-Match": "$response.header.ETag"}
_RENEWAL = {"operationId": "refreshToken", "requestBody": {"refresh_token": "$response.body#/refresh_token"}}


def _to(operation: str, **parameters: str) -> dict[str, Any]:
    return {"operationId": operation, "parameters": parameters}


LINKS: dict[str, dict[str, dict[str, Any]]] = {
    "signUp": {"refresh": _RENEWAL},
    "logIn": {"refresh": _RENEWAL},
    "refreshToken": {"refresh": _RENEWAL},
    "listSessions": {"end": _to("endSession", **{"path.id": "$response.body#/0/id"})},
    "createPost": {
        "read": _to("readPost", **_THE_POST),
        "update": _to("updatePost", **_THE_POST),
        "delete": _to("deletePost", **_THE_POST),
    },
    "listPosts": {
        "refresh": _to("listPosts", **_IF_CHANGED),
        "readNewest": _to("readPost", **{"path.postID": "$response.body#/0/postID"}),
    },
    "listChanges": {"next": _to("listChanges", **{"query.since": "$response.body#/version"})},
    "readPost": {
        "refresh": _to("readPost", **_THE_POST, **_IF_CHANGED),
        "update": _to("updatePost", **_THE_POST, **_THE_VERSION),
        "delete": _to("deletePost", **_THE_POST, **_THE_VERSION),
    },
    "updatePost": {
        "read": _to("readPost", **_THE_POST),
        "updateAgain": _to("updatePost", **_THE_POST, **_THE_VERSION),
        "delete": _to("deletePost", **_THE_POST, **_THE_VERSION),
    },
    "createWebhook": {
        "listDeliveries": _to("listWebhookDeliveries", **{"path.id": "$response.body#/id"}),
        "delete": _to("deleteWebhook", **{"path.id": "$response.body#/id"}),
    },
    "listWebhooks": {
        "listDeliveries": _to("listWebhookDeliveries", **{"path.id": "$response.body#/0/id"}),
        "delete": _to("deleteWebhook", **{"path.id": "$response.body#/0/id"}),
    },
}
"""The links of each operation's successful answer, by operation id and link name."""
