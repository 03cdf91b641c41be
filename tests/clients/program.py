"""A program that uses the generated Python client."""

import sys

from postline.api.authentication import log_out, refresh_token, sign_up
from postline.api.posts import create_post, delete_post, list_posts, read_post, update_post
from postline.client import AuthenticatedClient, Client
from postline.models import PostCreate, PostCreated, PostRead, PostUpdate, Problem, RefreshRequest, SignUp, TokenPair


def main(url: str) -> None:
    anyone = Client(url)
    tokens = sign_up.sync(client=anyone, body=SignUp(email="python@example.com", password="correct horse battery"))
    assert isinstance(tokens, TokenPair)
    ada = AuthenticatedClient(url, tokens.access_token)

    added = create_post.sync(client=ada, body=PostCreate(text="Hello, timeline! 👋"), idempotency_key="first")
    assert isinstance(added, PostCreated)

    listed = list_posts.sync_detailed(client=ada)
    assert isinstance(listed.parsed, list)
    assert [(post.post_id, post.text) for post in listed.parsed] == [(added.post_id, "Hello, timeline! 👋")]
    unchanged = list_posts.sync_detailed(client=ada, if_none_match=listed.headers["ETag"])
    assert unchanged.status_code == 304

    edit = PostUpdate(text="Hello again, timeline!")
    updated = update_post.sync(added.post_id, client=ada, body=edit, if_match='"1"')
    assert isinstance(updated, PostRead)
    assert (updated.version, updated.text) == (2, edit.text)
    late = update_post.sync_detailed(added.post_id, client=ada, body=edit, if_match='"1"')
    assert late.status_code == 412
    assert isinstance(late.parsed, Problem)

    assert delete_post.sync_detailed(added.post_id, client=ada).status_code == 204
    gone = read_post.sync(added.post_id, client=ada)
    assert isinstance(gone, Problem)
    assert gone.status == 404

    renewed = refresh_token.sync(client=anyone, body=RefreshRequest(tokens.refresh_token))
    assert isinstance(renewed, TokenPair)
    ada = AuthenticatedClient(url, renewed.access_token)
    assert log_out.sync_detailed(client=ada).status_code == 204
    refused = list_posts.sync(client=ada)
    assert isinstance(refused, Problem)
    assert refused.status == 401


main(sys.argv[1])
