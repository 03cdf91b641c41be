"""Reads the OpenAPI document."""

from typing import Any


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the operations with their answers, which routes share, but those of HEAD, which are derived from GET's."""
    shared = document["components"]["responses"]
    return {
        (method, path): operation
        | {
            "responses": {
                status: shared[answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
                for status, answer in operation["responses"].items()
            }
        }
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "head"
    }
