"""The OpenAPI document: what Litestar derives from the routes, made to say no more and no less than they do."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import OpenAPI

from app.problems import PROBLEM_MEDIA_TYPE
from controllers.documentation import EXAMPLES, example_problem

_FIRST_ERROR_STATUS = 400


@dataclass
class ContractConfig(OpenAPIConfig):
    """Litestar's OpenAPI configuration, for a document that is a `Contract`."""

    def to_openapi_schema(self) -> OpenAPI:
        """Return the document, still without paths."""
        document = super().to_openapi_schema()
        return Contract(**{field.name: getattr(document, field.name) for field in fields(document)})


@dataclass
class Contract(OpenAPI):
    """An OpenAPI document that generated clients can rely on."""

    def to_schema(self) -> dict[str, Any]:
        """Return the document as JSON values, made once."""
        return self._values

    @cached_property
    def _values(self) -> dict[str, Any]:
        document = super().to_schema()
        schemas = document["components"]["schemas"]
        for path_item in document["paths"].values():
            # What GET answers says what HEAD does (RFC 9110, section 9.3.2).
            path_item.pop("head", None)
            for operation in path_item.values():
                _tidy_parameters(operation)
                _tidy_body(operation, schemas)
                _tidy_responses(operation)
        return document


def _tidy_parameters(operation: dict[str, Any]) -> None:
    # A parameter that may be left out is not one that may be null: a query or a header has no null.
    for parameter in operation.get("parameters", []):
        alternatives = parameter["schema"].pop("oneOf", [])
        for alternative in alternatives:
            if alternative["type"] != "null":
                parameter["schema"].update(alternative)


def _tidy_body(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    for media in operation.get("requestBody", {}).get("content", {}).values():
        name = _schema_name(media["schema"])
        schemas[name]["additionalProperties"] = False
        media["example"] = EXAMPLES[name]


def _tidy_responses(operation: dict[str, Any]) -> None:
    for status, response in sorted(operation["responses"].items()):
        # Litestar adds an error of its own form to every route with parameters; here errors have one form.
        if int(status) >= _FIRST_ERROR_STATUS and PROBLEM_MEDIA_TYPE not in response.get("content", {}):
            del operation["responses"][status]
            continue
        for described in response.get("headers", {}).values():
            described["schema"] = {"type": "string"}
        for media_type, media in response.get("content", {}).items():
            if media_type == PROBLEM_MEDIA_TYPE:
                media["example"] = example_problem(int(status), response["description"])
            elif media["schema"].get("type") == "array":
                media["example"] = [EXAMPLES[_schema_name(media["schema"]["items"])]]
            elif "$ref" in media["schema"]:
                media["example"] = EXAMPLES[_schema_name(media["schema"])]


def _schema_name(schema: dict[str, str]) -> str:
    return schema["$ref"].rpartition("/")[2]
