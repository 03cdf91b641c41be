"""The document's words on personal tokens, from the scope that each route names."""

from dataclasses import replace

from litestar.handlers import HTTPRouteHandler
from litestar.plugins import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute

from app.auth.scopes import required_scope
from app.errors import InsufficientScope
from controllers.documentation import problems

_FORBIDDEN = 403


class DocumentedScopes(ReceiveRoutePlugin):
    """Documents, for each route that needs a token, what a personal token needs there and how it is refused."""

    def receive_route(self, route: BaseRoute) -> None:
        """Complete the documentation of one route."""
        if not isinstance(route, HTTPRoute):
            return
        for handler, _ in route.route_handler_map.values():
            if handler.resolve_include_in_schema() and handler.resolve_security() == [{"bearer": []}]:
                _document(handler)


def _document(handler: HTTPRouteHandler) -> None:
    scope = required_scope(handler.opt)
    if scope == "":
        return
    if scope is None:
        refusal = "The request carries a personal token, which this is closed to (`insufficient-scope`)."
    else:
        handler.description = f"{handler.description} A personal token needs the scope `{scope}`."
        refusal = f"The personal token lacks the scope `{scope}` (`insufficient-scope`)."
    responses = dict(handler.responses or {})
    if (other := responses.get(_FORBIDDEN)) is None:
        responses |= problems(InsufficientScope, on_403=refusal)
    else:
        responses[_FORBIDDEN] = replace(other, description=f"{other.description} Or: {refusal}")
    handler.responses = responses
