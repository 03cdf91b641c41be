"""The page and the documentation below a path of a proxy."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor, texts, write
from tests.e2e.server import serving
from tests.path_proxy import path_proxy_to


@pytest.mark.parametrize("strips", [True, False], ids=["stripped", "kept"])
@pytest.mark.parametrize("slash", ["", "/"], ids=["without a final slash", "with one"])
def test_the_page_and_the_documentation_work_below_a_path(
    visit: Callable[..., Visitor], tmp_path: Path, strips: bool, slash: str
) -> None:
    with (
        serving(tmp_path, settings={"ROOT_PATH": "/postline"}) as server,
        path_proxy_to(server.url, "/postline", strips=strips) as url,
    ):
        ada = visit(f"{url}/postline{slash}")
        window = ada.sign_up("ada@example.com", path="")
        write(window, "below a path")
        expect(window.locator(".post .text")).to_have_text(["below a path"])
        assert texts(window) == ["below a path"]

        window.get_by_role("link", name="API documentation").click()
        expect(window.locator("[id$='-listPosts']")).to_be_visible()
        assert window.url == f"{url}/postline/docs"
        window.close()
