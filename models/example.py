"""Examples of bodies, which the OpenAPI document shows. Each model that is a body has its own."""

from typing import Any

Example = dict[str, Any]
"""The values of a body's fields, as JSON."""

TIME = "2026-01-02T03:04:05.678901Z"
POST_ID = "01a20544-8f6d-7250-9b81-05646f62c3bb"
