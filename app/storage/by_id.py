"""Posts that are found by their ids, and must be their owner's."""

from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, and_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm.util import AliasedClass
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import col

from models import Post
from models.columns import UUIDBytes


class _Owner(FunctionElement[UUID]):
    """The owner of a post, which SQLite does not look up in an index: from nine ids on, it would prefer that one.

    That index finds all of the owner's posts, however many there are.
    """

    type = UUIDBytes()
    inherit_cache = True


@compiles(_Owner)
def _compile(element: _Owner, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(_Owner, "sqlite")
def _compile_for_sqlite(element: _Owner, compiler: SQLCompiler, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"


def owned_by_id(
    owner_id: UUID | BindParameter[Any], post_ids: Any, post: type[Post] | AliasedClass[Post] = Post
) -> ColumnElement[bool]:
    """Return the condition that a post is one of these, and the owner's."""
    return and_(_Owner(col(post.user_id)) == owner_id, col(post.id).in_(post_ids))
