"""`/me/import`: the posts of an export, added to an account."""

from contextlib import aclosing
from dataclasses import dataclass, replace

from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.serialization import encode_json
from litestar.status_codes import HTTP_200_OK

from app.auth.jwt_auth import AuthenticatedRequest
from app.errors import BodyTooLarge, InvalidImport, QuotaExceeded, TooSlow
from app.http.large_bodies import LargeBodies
from app.http.problems import ImportProblem
from app.http.request_body import IS_STREAMED
from app.services.imports import ImportService
from controllers import me
from controllers.documentation import BEARER, problems
from controllers.me import NDJSON
from controllers.write_limit import limit_writes
from controllers.writes import TIMELINE_VERSION, write_headers
from models import ExportedUser, ImportRead, PostRead

_MEDIA_TYPES = frozenset({NDJSON, "application/jsonl", "application/jsonlines"})
_EXAMPLE = "".join(encode_json(line).decode() + "\n" for line in (ExportedUser.example, PostRead.example))

_PROBLEMS = {
    status: replace(spec, data_container=ImportProblem)
    for status, spec in problems(
        InvalidImport,
        401,
        QuotaExceeded,
        TooSlow,
        BodyTooLarge,
        415,
        429,
        503,
        on_415=f"The body is not declared as {NDJSON}, or has a `Content-Encoding`.",
    ).items()
}


@dataclass
class _ImportOperation(Operation):
    """Documents the body, which the handler reads past Litestar."""

    def __post_init__(self) -> None:
        lines = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING), example=_EXAMPLE)
        self.request_body = RequestBody(content={NDJSON: lines}, description="An export.", required=True)


class ImportController(Controller):
    """Imports exports."""

    path = "/me/import"
    tags = [me.TAG.name]
    security = BEARER
    before_request = staticmethod(limit_writes)

    @post(
        operation_id="importMe",
        operation_class=_ImportOperation,
        summary="Import an export",
        description=(
            "Adds the posts of an export of this or another account, here or on another instance, after those that are "
            "there: text, times, version and order are kept, ids are new. Posts that this account has already, by an "
            "earlier import or because it is its own export, are skipped; so after a failure, send the export again. "
            "It is added as it arrives, some posts at a time, and what was added before a failure stays. Every failure "
            "of the import itself says in `created` and `skipped` how far it came, and `line` is where it is invalid. "
            "Everything but posts is ignored."
        ),
        status_code=HTTP_200_OK,
        opt={IS_STREAMED: True},
        response_description="Everything is imported.",
        responses=_PROBLEMS,
        response_headers=[TIMELINE_VERSION],
    )
    async def import_posts(
        self,
        request: AuthenticatedRequest,
        imports: NamedDependency[ImportService],
        large_bodies: NamedDependency[LargeBodies],
    ) -> Response[ImportRead]:
        """Answer `POST /me/import`."""
        async with aclosing(large_bodies.stream(request, _MEDIA_TYPES)) as body:
            done = await imports.run(request.user.user_id, body, session_id=request.user.session_id)
        return Response(ImportRead(**done._asdict()), headers=write_headers(done.version, is_replayed=False))
