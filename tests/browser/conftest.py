"""The system's Chromium, and people who visit a started service with it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.e2e.server import ROOT, Client, Server, free_port, serving
from tests.mailbox import Mailbox
from tests.services import missing

# A machine that is busy with other tests takes its time. What is expected has less of it than a feed needs to be taken
# for dead, so that nothing is shown only because the page connected again.
expect.set_options(timeout=20_000)
ACTION_MILLISECONDS = 60_000

PASSWORD = "correct horse battery"
# The end of the list never comes near, so the next posts come only with the button.
NEVER_NEAR = "window.IntersectionObserver = class { observe() {} unobserve() {} };"
# Deletions wait for `passTenSeconds()`, however long a test takes.
HELD_DELETIONS = """{
    const { setTimeout, clearTimeout } = globalThis;
    const held = new Map();
    let last = 1e9;
    globalThis.setTimeout = (work, delay, ...given) => {
        if (delay !== 10_000) return setTimeout(work, delay, ...given);
        held.set(++last, work);
        return last;
    };
    globalThis.clearTimeout = (id) => held.delete(id) || clearTimeout(id);
    globalThis.passTenSeconds = () => {
        const due = [...held.values()];
        held.clear();
        for (const work of due) work();
    };
}"""
RESULTS = ROOT / "test-results"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def wait_until(window: Page, condition: str) -> None:
    """Wait until a function in JavaScript, or its promise, returns true.

    Playwright's `wait_for_function` takes a promise for true, and looks again with `eval`, which the page's policy
    forbids.
    """
    window.evaluate(
        """async (condition) => {
        for (let tries = 0; tries < 400; tries++) {
            if (await condition()) return;
            await new Promise((resolve) => setTimeout(resolve, 50));
        }
        throw new Error("It did not come true.");
    }""".replace("async (condition) => {", f"async () => {{ const condition = {condition};")
    )


def chromium() -> str:
    """Return where the system's Chromium is."""
    executable = shutil.which("chromium")
    if executable is None:
        missing("Chromium", "there is no `chromium` on the PATH")
    return executable


# For this folder only: while Playwright's loop runs, no test of another folder could run its own.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=QUIET)
        yield started
        started.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mails")


@pytest.fixture(scope="module")
def started(folder: Path) -> Iterator[Server]:
    """A service of the module's own, whose mails lead to its page."""
    port = free_port()
    with serving(folder, port=port, settings={"PUBLIC_URL": f"http://127.0.0.1:{port}"}) as server:
        yield server


@pytest.fixture
def mailbox(folder: Path) -> Mailbox:
    return Mailbox(folder / "data")


class Visitor:
    """Someone with a browser of their own, in which any number of windows share a session.

    `complaints` are the errors that its windows reported, and the requests that they sent elsewhere.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.complaints: list[str] = []
        context.set_default_timeout(ACTION_MILLISECONDS)
        context.add_init_script(HELD_DELETIONS)
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("request", self._on_request)

    def open(self, path: str = "/") -> Page:
        window = self.context.new_page()
        window.goto(f"{self.url}{path}")
        return window

    def sign_up(self, email: str, path: str = "/") -> Page:
        """Open a window, create an account, and return the window when it is live."""
        window = self.open(path)
        window.get_by_role("button", name="Create an account instead").click()
        window.get_by_label("Email").fill(email)
        window.get_by_label("Password").fill(PASSWORD)
        window.get_by_role("button", name="Create an account").click()
        expect(window.get_by_text("Live", exact=True)).to_be_visible()
        return window

    def forget(self, *expected: str) -> None:
        """Drop complaints that a test provokes: those that contain one of these."""
        self.complaints = [each for each in self.complaints if not any(part in each for part in expected)]

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def _on_request(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.complaints.append(f"a request to {request.url}")


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Return what makes visitors of a service; each is to leave without a complaint."""
    visitors: list[Visitor] = []

    def make(url: str, **options: object) -> Visitor:
        visitors.append(Visitor(browser.new_context(**{"reduced_motion": "reduce", **options}), url))  # type: ignore[arg-type]
        return visitors[-1]

    yield make
    complaints = [each for visitor in visitors for each in visitor.complaints]
    for visitor in visitors:
        visitor.context.close()
    assert complaints == []


@pytest.fixture
def ada(visit: Callable[..., Visitor], server: Server) -> Visitor:
    return visit(server.url)


def log_in(window: Page, email: str, password: str) -> None:
    window.get_by_label("Email").fill(email)
    window.get_by_label("Password").fill(password)
    window.get_by_role("button", name="Log in").click()


def write(window: Page, text: str) -> None:
    window.get_by_label("New post").fill(text)
    window.get_by_role("button", name="Post", exact=True).click()


def pass_ten_seconds(window: Page) -> None:
    """End the time in which a deletion can be undone."""
    window.evaluate("passTenSeconds()")


def texts(window: Page) -> list[str]:
    """Return the posts as a person sees them, newest first."""
    # Not their inner texts: those of posts out of sight are empty.
    return window.locator(".post .text").all_text_contents()


def person_in(window: Page, server: Server) -> Client:
    """Return a client in the window's own session."""
    session = window.evaluate("JSON.parse(localStorage.getItem('postline.session'))")
    return Client(server.url, session["email"], session)
