"""A batch: several operations on posts that are carried out together, or not at all."""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field as PydanticField
from sqlmodel import Field, SQLModel

from models.example import POST_ID, Example
from models.post import PostBase

MAX_OPERATIONS = 100


class _Operation(SQLModel):
    model_config = {"extra": "forbid"}


class CreateOperation(_Operation, PostBase):
    """Adds a post."""

    op: Literal["create"]


class ChangeOperation(_Operation):
    """What names an existing post, and the version of it that may be changed."""

    postID: UUID  # noqa: N815 - this service's word for a post's id
    if_version: int | None = Field(
        default=None, ge=1, description="Act only on this version of the post, as `If-Match` does."
    )


class UpdateOperation(ChangeOperation, PostBase):
    """Replaces a post's text."""

    op: Literal["update"]


class DeleteOperation(ChangeOperation):
    """Deletes a post."""

    op: Literal["delete"]


PostOperation = Annotated[CreateOperation | UpdateOperation | DeleteOperation, PydanticField(discriminator="op")]


class PostBatch(SQLModel):
    """The body of a batch: operations that are carried out in order."""

    model_config = {"extra": "forbid"}
    example: ClassVar[Example] = {
        "operations": [
            {"op": "create", "text": "Hello, timeline! 👋"},
            {"op": "update", "postID": POST_ID, "text": "Hello again, timeline!", "if_version": 1},
            {"op": "delete", "postID": POST_ID},
        ]
    }

    operations: list[PostOperation] = Field(min_length=1, max_length=MAX_OPERATIONS)


class OperationResult(SQLModel):
    """What one operation of a batch did."""

    example: ClassVar[Example] = {"postID": POST_ID, "version": 1}

    postID: UUID  # noqa: N815
    version: int | None = Field(description="The post's version after the operation, or null if it deleted the post.")


class PostBatchApplied(SQLModel):
    """The answer to a batch that was carried out."""

    example: ClassVar[Example] = {
        "version": 20,
        "results": [
            {"postID": "01a20544-8f6d-7250-9b81-05646f62c3bc", "version": 1},
            {"postID": POST_ID, "version": 2},
            {"postID": POST_ID, "version": None},
        ],
    }

    version: int = Field(description="The timeline's version after the last operation; each has made one.")
    results: list[OperationResult] = Field(description="One for each operation, in their order.")
