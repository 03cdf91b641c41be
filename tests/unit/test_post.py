"""What a post does when it is written, rewritten and removed."""

from uuid_utils.compat import uuid7

from events.types import PostCreatedEvent, PostDeletedEvent, PostUpdatedEvent
from models import Post
from models.post import PostImport
from tests.factories import PostCreateFactory, PostUpdateFactory


def test_writing_makes_a_post_at_the_timelines_new_position_and_its_event() -> None:
    owner_id, draft = uuid7(), PostCreateFactory.build()

    post, event = Post.write(owner_id, draft, timeline_version=7)

    assert (post.user_id, post.text, post.position, post.version) == (owner_id, draft.text, 7, 1)
    assert post.created_at == post.updated_at
    assert event == PostCreatedEvent(user_id=owner_id, version=7, post_id=post.id, occurred_at=post.created_at)


def test_a_new_post_has_a_value_in_every_column() -> None:
    written, _ = Post.write(uuid7(), PostCreateFactory.build(), timeline_version=1)
    imported, _ = Post.imported(
        uuid7(),
        PostImport(
            text="hello", postID=uuid7(), created_at=written.created_at, updated_at=written.updated_at, version=3
        ),
        timeline_version=2,
    )

    assert set(written.model_dump()) == set(imported.model_dump()) == set(Post.model_fields)
    assert None not in [*written.model_dump().values(), *imported.model_dump().values()]


def test_rewriting_counts_the_posts_version_up_and_keeps_its_position() -> None:
    post, _ = Post.write(uuid7(), PostCreateFactory.build(), timeline_version=1)
    edit = PostUpdateFactory.build()

    event = post.rewrite(edit, timeline_version=2)

    assert (post.text, post.version, post.position) == (edit.text, 2, 1)
    assert post.updated_at >= post.created_at
    assert event == PostUpdatedEvent(user_id=post.user_id, version=2, post_id=post.id, occurred_at=post.updated_at)


def test_removing_makes_an_event() -> None:
    post, _ = Post.write(uuid7(), PostCreateFactory.build(), timeline_version=1)

    event = post.removed(timeline_version=2)

    assert isinstance(event, PostDeletedEvent)
    assert (event.user_id, event.version, event.post_id) == (post.user_id, 2, post.id)


def test_ids_are_version_7_and_sort_by_creation() -> None:
    ids = [Post.write(uuid7(), PostCreateFactory.build(), timeline_version=1)[0].id for _ in range(100)]

    assert {post_id.version for post_id in ids} == {7}
    assert ids == sorted(ids)
