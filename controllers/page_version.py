"""The page's files, and the digests by which a browser knows one version of them from the next."""

import base64
import json
from functools import cache
from hashlib import sha256
from pathlib import Path

from app.settings import Settings
from models import SignUpPolicy

FILES = Path(__file__).parent / "static"
SERVICE_WORKER = "service-worker.js"

_NEEDS_MAIL = " hidden data-needs-mail"
_SIGN_UP = 'data-sign-up="{}"'


def page_of(settings: Settings) -> bytes:
    """Return the page as a service with these settings shows it."""
    return _html(settings.root_path, sends_mail=settings.sends_mail, sign_up_policy=settings.sign_up)


@cache
def _html(root_path: str, *, sends_mail: bool, sign_up_policy: SignUpPolicy) -> bytes:
    """Return the page, which knows who may sign up, and hides what needs a mail unless the service can send one.

    Addresses in it are absolute, because a proxy may show it without a final slash.
    """
    html = (FILES / "index.html").read_text(encoding="utf-8").replace('="/', f'="{root_path}/')
    html = html.replace(_SIGN_UP.format(SignUpPolicy.OPEN), _SIGN_UP.format(sign_up_policy))
    return (html.replace(_NEEDS_MAIL, "") if sends_mail else html).encode()


@cache
def digests_of(page: bytes) -> str:
    """Return the digest of each file, the page's included, as a JSON object by their addresses."""
    paths = sorted(path for path in FILES.iterdir() if path.name != SERVICE_WORKER)
    digests = {"./": _digest(page)} | {f"static/{path.name}": _digest(path.read_bytes()) for path in paths}
    return json.dumps(digests, indent=2)


@cache
def version_of(page: bytes) -> str:
    """Return the digest of all files together."""
    return sha256(digests_of(page).encode()).hexdigest()[:32]


def _digest(content: bytes) -> str:
    return f"sha256-{base64.b64encode(sha256(content).digest()).decode()}"
