"""The OpenAPI document: what Litestar derives from the routes, with corrections."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, get_args

from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import OpenAPI
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import override

import models
from app.http.problems import PROBLEM_MEDIA_TYPE
from controllers.documentation import PROBLEM_HEADERS, described
from controllers.health import Health
from controllers.links import LINKS
from events.types import EventType
from models.example import Example

_FIRST_ERROR_STATUS = 400
_REPEATED_HEADERS = {"ETag", "Cache-Status"}


@dataclass
class ContractConfig(OpenAPIConfig):
    """Litestar's OpenAPI configuration, which creates a `Contract`."""

    @override
    def to_openapi_schema(self) -> OpenAPI:
        document = super().to_openapi_schema()
        return Contract(**{field.name: getattr(document, field.name) for field in fields(document)})


class _Untitled(GenerateJsonSchema):
    """Pydantic's schema generator, without the titles that repeat the names of fields."""

    @override
    def field_title_should_be_set(self, schema: object) -> bool:
        return False


@dataclass
class Contract(OpenAPI):
    """An OpenAPI document that generated clients can rely on."""

    @override
    def to_schema(self) -> dict[str, Any]:
        return self._values

    @cached_property
    def _values(self) -> dict[str, Any]:
        document = super().to_schema()
        schemas = document["components"]["schemas"]
        for schema in schemas.values():
            _tidy_answer(schema)
        schemas["Problem"]["required"].remove("errors")
        for path_item in document["paths"].values():
            # HEAD answers with GET's headers, so it is not documented separately (RFC 9110, section 9.3.2).
            path_item.pop("head", None)
            for operation in path_item.values():
                del operation["deprecated"]
                operation.setdefault("security", [])
                _tidy_parameters(operation)
                _tidy_body(operation, schemas)
                _tidy_responses(operation["responses"])
                _complete_success(operation)
        _name_event_types(schemas)
        return document


def _tidy_answer(schema: dict[str, Any]) -> None:
    # A field with a default is optional in a request (see `_tidy_body`). In an answer it is always present.
    schema.pop("default", None)
    if "properties" in schema:
        schema["required"] = sorted(schema["properties"])
        for field in schema["properties"].values():
            field.pop("default", None)


def _tidy_parameters(operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", []):
        for noise in ("deprecated", "allowEmptyValue", "allowReserved"):
            parameter.pop(noise, None)
        del parameter["schema"]["description"]
        # An optional parameter is not nullable: a query or a header has no null.
        for alternative in parameter["schema"].pop("oneOf", []):
            if alternative["type"] != "null":
                parameter["schema"].update(alternative)


def _tidy_body(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    for media in operation.get("requestBody", {}).get("content", {}).values():
        name = _schema_name(media["schema"])
        # Pydantic validates the body, and its schema has constraints that Litestar's lacks.
        schemas[name] = getattr(models, name).model_json_schema(schema_generator=_Untitled)
        media["example"] = _example(name)


def _tidy_responses(responses: dict[str, Any]) -> None:
    for status, response in sorted(responses.items()):
        headers = {name: described(entry["description"]) for name, entry in sorted(response.pop("headers", {}).items())}
        content = response.get("content", {})
        if PROBLEM_MEDIA_TYPE in content:
            headers = PROBLEM_HEADERS.get(int(status), {})
        elif int(status) >= _FIRST_ERROR_STATUS:
            # Litestar documents its own error format for every route with parameters. This service never sends it.
            del responses[status]
        for media in content.values():
            if "examples" in media:
                # Litestar names the example by its Python type. A single example needs no name.
                (media["example"],) = (example["value"] for example in media.pop("examples").values())
            elif "example" not in media and "$ref" in media["schema"]:
                media["example"] = _example(_schema_name(media["schema"]))
            elif media["schema"].get("type") == "array":
                media["example"] = [_example(_schema_name(media["schema"]["items"]))]
        if headers:
            response["headers"] = headers


def _complete_success(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    success = responses[min(responses)]
    if operation["operationId"] in LINKS:
        success["links"] = LINKS[operation["operationId"]]
    if "304" in responses:
        # A 304 repeats these headers of the 200 (RFC 9110, section 15.4.5).
        repeated = {name: entry for name, entry in success["headers"].items() if name in _REPEATED_HEADERS}
        responses["304"]["headers"] = repeated


def _name_event_types(schemas: dict[str, Any]) -> None:
    # Without a name, generated clients would have a separate type for each use.
    named = {"type": "string", "enum": list(get_args(EventType))}
    for schema in schemas.values():
        for field in schema.get("properties", {}).values():
            for typed in (field, field.get("items", {})):
                if typed.get("enum") == named["enum"]:
                    typed.clear()
                    typed["$ref"] = "#/components/schemas/EventType"
    schemas["EventType"] = named


def _example(name: str) -> Example:
    example: Example = Health.example if name == "Health" else getattr(models, name).example
    return example


def _schema_name(schema: dict[str, str]) -> str:
    return schema["$ref"].rpartition("/")[2]
