"""`/docs` and `/openapi.json`: the contract, for people and for programs."""

from html import escape
from typing import Any

from litestar import MediaType, Request, Router, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Server, Tag
from litestar.routes import BaseRoute
from litestar.serialization import encode_json
from litestar.types import ControllerRouterHandler
from swagger_ui_bundle import swagger_ui_path
from typing_extensions import override

from app.auth.jwt_auth import PUBLIC
from app.http.response_headers import DOCS
from app.settings import Settings
from controllers.contract import ContractConfig
from controllers.files import public_files
from models import SignUpPolicy

_PAGE = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>{title}</title>
    <link rel="icon" href="{root_path}/docs/assets/favicon-32x32.png">
    <link rel="stylesheet" href="{root_path}/docs/assets/swagger-ui.css">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="{root_path}/docs/assets/swagger-ui-bundle.js"></script>
    <script src="{root_path}/docs/start.js"></script>
  </body>
</html>
"""

_START = """// Where the browser keeps no site data, already the access throws.
function keepsSiteData() {
  try {
    return Boolean(localStorage);
  } catch {
    return false;
  }
}

SwaggerUIBundle({
  url: "%s/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: keepsSiteData(),
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""


class _DocsRouter(Router):
    """Litestar's documentation router, reduced to the page."""

    @override
    def register(self, value: ControllerRouterHandler) -> list[BaseRoute]:
        # `openapi_document` serves the document, and Litestar's catch-all would answer unknown addresses in HTML.
        if isinstance(value, HTTPRouteHandler) and value.paths != {"/"}:
            return []
        return super().register(value)


class LocalSwaggerPlugin(OpenAPIRenderPlugin):
    """Swagger UI from the installed package: it loads nothing from other hosts and has no inline script."""

    def __init__(self, root_path: str) -> None:
        super().__init__(path="/")
        self._root_path = root_path

    @override
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return _PAGE.format(title=escape(openapi_schema["info"]["title"]), root_path=self._root_path).encode()


@get("/openapi.json", operation_id="readContract", include_in_schema=False, opt=PUBLIC, media_type=MediaType.JSON)
async def openapi_document(request: Request[Any, Any, Any]) -> bytes:
    """Answer `GET /openapi.json`."""
    return encode_json(request.app.openapi_schema.to_schema())


@get("/docs/start.js", include_in_schema=False, opt=PUBLIC | DOCS, media_type="text/javascript")
async def swagger_start(settings: NamedDependency[Settings]) -> str:
    """Answer `GET /docs/start.js`."""
    return _START % settings.root_path


swagger_assets = public_files("/docs/assets", swagger_ui_path, "swagger-assets", DOCS)


def create_openapi_config(
    version: str, tags: list[Tag], root_path: str, sign_up_policy: SignUpPolicy
) -> ContractConfig:
    """Return the parts of the document that describe the service as a whole."""
    return ContractConfig(
        title="Postline",
        version=version,
        summary="Keeps each user's posts.",
        description=(
            "Sign up or log in, and send the `access_token` as `Authorization: Bearer …`; a script sends a personal "
            "token instead, within its scopes. "
            "Every error is a problem document (RFC 9457). "
            "Text is Unicode: lone surrogates are refused, and so is NUL where a pattern says so. "
            "Every route that answers GET also answers HEAD. Every answer has an `X-Request-ID`, which identifies the "
            "request in the service's log. If the request has one of at most 64 letters, digits, `.`, `_` and `-`, it "
            "is kept; otherwise the service generates one."
        ),
        # Litestar's own description of the scheme has a `name`, which OpenAPI does not allow there.
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="JWT",
                    description=(
                        "The `access_token` that sign-up, log-in and refresh answer with, or a personal token, which "
                        "is no JWT."
                    ),
                )
            }
        ),
        openapi_router=_DocsRouter("/docs", route_handlers=[], opt=PUBLIC | DOCS, include_in_schema=False),
        render_plugins=[LocalSwaggerPlugin(root_path)],
        servers=[Server(url=root_path or "/")],
        use_handler_docstrings=False,
        sign_up_policy=sign_up_policy,
        tags=tags,
    )
