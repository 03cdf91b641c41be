"""The dashboard and the alerts: they ask for nothing that the service does not tell."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from litestar import Litestar

from app.application import create_app
from app.settings import Settings
from tests.api.conftest import serve
from tests.scraping import samples

OPERATIONS = Path(__file__).resolve().parents[2] / "docs" / "operations"
DASHBOARD = json.loads((OPERATIONS / "dashboard.json").read_text())
ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((OPERATIONS / "alerts.yml").read_text())["groups"]  # type: ignore[no-untyped-call]
    for rule in group["rules"]
]

# What Prometheus adds itself.
ADDED_METRICS, ADDED_LABELS = {"up"}, {"job", "instance"}


@pytest.fixture
def app(settings: Settings) -> Litestar:
    """The service in its largest size, which has all metrics; Redis may be away."""
    return create_app(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"}))


@pytest.fixture
async def told(app: Litestar) -> set[str]:
    async with serve(app) as client:
        await client.get("/health/live")
        return set(samples((await client.get("/metrics")).text))


def dashboard_expressions() -> list[str]:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def names(expression: str) -> Iterator[str]:
    """Yield the names of metrics: what is left without labels, functions, strings and ranges."""
    rest = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(by|without)\s*\([^)]*\)", " ", expression)
    yield from re.findall(r"\b[a-z_][a-z0-9_]*\b(?!\s*\()", rest)


def labels(expression: str) -> set[str]:
    matched = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression)
    grouped = re.findall(r"\bby\s*\(([^)]*)\)", expression)
    return {*matched, *(name.strip() for group in grouped for name in group.split(","))}


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
async def test_every_metric_and_label_they_name_exists(told: set[str]) -> None:
    metrics = {name.partition("{")[0] for name in told}
    known_labels = {label for name in told for label in re.findall(r'(\w+)="', name)}

    for expression in [*dashboard_expressions(), *(alert["expr"] for alert in ALERTS)]:
        assert set(names(expression)) <= metrics | ADDED_METRICS, expression
        assert set(names(expression)), expression
        assert labels(expression) <= known_labels | ADDED_LABELS, expression


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
async def test_the_dashboard_shows_all_that_the_service_tells(told: set[str]) -> None:
    shown = {name for expression in dashboard_expressions() for name in names(expression)}
    suffixes = ("_bucket", "_sum", "_count")
    metrics = {name.partition("{")[0] for name in told if name.startswith("postline_")}

    assert {name for name in metrics if not name.endswith(suffixes)} <= shown


def test_every_alert_is_explained() -> None:
    explained = re.findall(r"^### (\w+)$", (OPERATIONS / "README.md").read_text(), re.MULTILINE)

    assert explained == [alert["alert"] for alert in ALERTS]
    assert all(
        alert["annotations"]["summary"] and alert["labels"]["severity"] in {"page", "ticket"} for alert in ALERTS
    )
