"""The OpenAPI document: what Litestar derives from the routes, with corrections."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, get_args

from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import OpenAPI
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import override

import models
from app.http.problems import PROBLEM_MEDIA_TYPE
from app.http.request_body import ACCEPT_PATCH
from controllers.documentation import PROBLEM_HEADERS, PROBLEM_NAMES, described
from controllers.health import Health
from controllers.links import LINKS
from controllers.pushed_events import FEED_EVENTS, SCHEMAS, WEBHOOK_CALLS
from controllers.sign_up_contract import describe_sign_up
from events.types import EventType
from models import SignUpPolicy
from models.example import Example

_FIRST_ERROR_STATUS = 400
_NO_CONTENT = "204"
_REFERENCE = "#/components/schemas/{model}"
_OPTIONAL_MEMBERS = {
    "Problem": {"errors", "quota", "limit", "used", "version", "reason"},
    "ImportProblem": {"errors", "quota", "limit", "used", "version", "reason", "line", "created", "skipped"},
}
_REPEATED_HEADERS = {"ETag", "Cache-Status"}


@dataclass
class ContractConfig(OpenAPIConfig):
    """Litestar's OpenAPI configuration, which creates a `Contract`."""

    sign_up_policy: SignUpPolicy = SignUpPolicy.OPEN

    @override
    def to_openapi_schema(self) -> OpenAPI:
        document = super().to_openapi_schema()
        values = {field.name: getattr(document, field.name) for field in fields(document)}
        return Contract(**values, sign_up_policy=self.sign_up_policy)


class _Untitled(GenerateJsonSchema):
    """Pydantic's schema generator, without the titles that repeat the names of fields."""

    @override
    def field_title_should_be_set(self, schema: object) -> bool:
        return False


@dataclass
class Contract(OpenAPI):
    """An OpenAPI document that generated clients can rely on."""

    sign_up_policy: SignUpPolicy = SignUpPolicy.OPEN

    @property
    @override
    def _exclude_fields(self) -> set[str]:
        return {*super()._exclude_fields, "sign_up_policy"}

    @override
    def to_schema(self) -> dict[str, Any]:
        return self._values

    @cached_property
    def _values(self) -> dict[str, Any]:
        document = super().to_schema()
        schemas = document["components"]["schemas"]
        schemas |= SCHEMAS
        for schema in schemas.values():
            _tidy_answer(schema)
        for name, members in _OPTIONAL_MEMBERS.items():
            schemas[name]["required"] = sorted(set(schemas[name]["required"]) - members)
        for path_item in document["paths"].values():
            path_item.pop("head", None)
            for method, operation in path_item.items():
                del operation["deprecated"]
                operation.setdefault("security", [])
                _tidy_parameters(operation)
                _tidy_body(method, operation, schemas)
                _tidy_responses(operation["responses"])
                _complete_success(operation)
        describe_sign_up(document, self.sign_up_policy)
        document["components"]["responses"] = _share_problems(document["paths"])
        for path_item in document["paths"].values():
            if "get" in path_item:
                path_item["head"] = _head_of(path_item["get"])
        document["webhooks"] = WEBHOOK_CALLS
        _name_enumeration("EventType", EventType, schemas)
        _name_enumeration("Scope", models.Scope, schemas)
        return document


def _tidy_answer(schema: dict[str, Any]) -> None:
    # A field with a default is optional in a request (see `_tidy_body`). In an answer it is always present, and a later
    # version may answer with values that this one does not know.
    schema.pop("default", None)
    _open_enums(schema)
    if "properties" in schema:
        schema["required"] = sorted(schema["properties"])
        for field in schema["properties"].values():
            field.pop("default", None)
            if len(field.get("oneOf", [])) == 1:
                # A member that may be absent, and is not null.
                field.update(field.pop("oneOf")[0])


def _open_enums(schema: dict[str, Any]) -> None:
    for part in _parts_of(schema):
        if "enum" in part:
            # A member that may be absent is none of them, and is never null.
            values = [value for value in part.pop("enum") if value is not None]
            part.update({"type": "string", "x-extensible-enum": values})


def _parts_of(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in the value, itself included, before what is in it."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _parts_of(part)


def _tidy_parameters(operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", []):
        for noise in ("deprecated", "allowEmptyValue", "allowReserved"):
            parameter.pop(noise, None)
        del parameter["schema"]["description"]
        # An optional parameter is not nullable: a query or a header has no null.
        for alternative in parameter["schema"].pop("oneOf", []):
            if alternative["type"] != "null":
                # A handler that takes more than it documents has set the type.
                parameter["schema"] |= alternative | parameter["schema"]


def _tidy_body(method: str, operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    content = operation.get("requestBody", {}).get("content", {})
    for media in content.values():
        if "$ref" not in media["schema"]:
            continue
        name = _schema_name(media["schema"])
        # Pydantic validates the body, and its schema has constraints that Litestar's lacks.
        schema = getattr(models, name).model_json_schema(ref_template=_REFERENCE, schema_generator=_Untitled)
        definitions = schema.pop("$defs", {}) | {name: schema}
        for definition in definitions.values():
            _drop_null_defaults(definition)
        schemas.update(definitions)
        media["example"] = _example(name)
    if method == "patch":
        content |= dict.fromkeys(ACCEPT_PATCH.split(", "), content["application/json"])


def _drop_null_defaults(schema: dict[str, Any]) -> None:
    # They say no more than that the field is optional, and generators of TypeScript require what has a default.
    for field in schema.get("properties", {}).values():
        if field.get("default", ...) is None:
            del field["default"]


def _tidy_responses(responses: dict[str, Any]) -> None:
    for status, response in sorted(responses.items()):
        headers = {name: described(entry["description"]) for name, entry in sorted(response.pop("headers", {}).items())}
        if status == _NO_CONTENT:
            # Litestar documents a `null` where a handler returns a response, to set headers.
            response.pop("content", None)
        content = response.get("content", {})
        if PROBLEM_MEDIA_TYPE in content:
            headers = PROBLEM_HEADERS.get(int(status), {})
        elif int(status) >= _FIRST_ERROR_STATUS:
            # Litestar documents its own error format for every route with parameters. This service never sends it.
            del responses[status]
        for media_type, media in content.items():
            if media_type == "text/event-stream":
                # OpenAPI 3.1 has no words for the events of a stream.
                media["x-event-data"] = FEED_EVENTS
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


def _share_problems(paths: dict[str, Any]) -> dict[str, Any]:
    """Return the usual problem of each kind, and let the operations refer to them."""
    shared: dict[str, Any] = {}
    for path_item in paths.values():
        for operation in path_item.values():
            responses = operation["responses"]
            for status, response in responses.items():
                name = PROBLEM_NAMES.get(response["description"])
                if name is not None and shared.setdefault(name, response) == response:
                    responses[status] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(shared.items()))


def _head_of(get: dict[str, Any]) -> dict[str, Any]:
    """Return the operation that answers with only the headers of this one (RFC 9110, section 9.3.2)."""
    return get | {
        "operationId": f"{get['operationId']}Headers",
        "summary": f"{get['summary']}: headers only",
        "description": "Answers as GET does, without content.",
        "responses": {
            status: {name: part for name, part in response.items() if name not in {"content", "links"}}
            for status, response in get["responses"].items()
        },
    }


def _name_enumeration(name: str, values: object, schemas: dict[str, Any]) -> None:
    # Without a name, generated clients would have a separate type for each request that takes them.
    named = {"type": "string", "enum": list(get_args(values))}

    for part in _parts_of(schemas):
        if part.get("enum") == named["enum"]:
            part.clear()
            part["$ref"] = f"#/components/schemas/{name}"
    schemas[name] = named


def _example(name: str) -> Example:
    example: Example = Health.example if name == "Health" else getattr(models, name).example
    return example


def _schema_name(schema: dict[str, str]) -> str:
    return schema["$ref"].rpartition("/")[2]
