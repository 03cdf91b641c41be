"""The dashboard, the alerts and the unit: they ask for nothing that the service lacks, and their tools agree."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from litestar import Litestar

from app.application import create_app
from app.settings import Settings
from tests.api.conftest import serve
from tests.scraping import samples
from tests.services import program

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


def test_grafanas_schema_knows_each_field_of_the_dashboard() -> None:
    register_default_plugins()

    understood = json.loads(JSONEncoder().encode(Dashboard.from_json(DASHBOARD)))

    assert lost(DASHBOARD, understood) == []


def lost(written: Any, understood: Any, path: str = "") -> list[str]:
    """Return where something that was written is not understood. Defaults may be added."""
    if isinstance(written, dict) and isinstance(understood, dict):
        return [each for key, value in written.items() for each in lost(value, understood.get(key), f"{path}/{key}")]
    if isinstance(written, list) and isinstance(understood, list) and len(written) == len(understood):
        return [each for at, value in enumerate(written) for each in lost(value, understood[at], f"{path}/{at}")]
    return [] if written == understood else [path]


def test_every_alert_is_explained() -> None:
    explained = re.findall(r"^### (\w+)$", (OPERATIONS / "README.md").read_text(), re.MULTILINE)

    assert explained == [alert["alert"] for alert in ALERTS]
    assert all(
        alert["annotations"]["summary"] and alert["labels"]["severity"] in {"page", "ticket"} for alert in ALERTS
    )


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
def test_the_manifests_name_settings_and_routes_that_exist(app: Litestar) -> None:
    manifests = yaml.safe_load_all((OPERATIONS / "kubernetes.yaml").read_text())  # type: ignore[no-untyped-call]
    by_kind: dict[str, Any] = {manifest["kind"]: manifest for manifest in manifests}
    [container] = by_kind["Deployment"]["spec"]["template"]["spec"]["containers"]
    probes = [container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")]

    assert {name.lower() for name in by_kind["ConfigMap"]["data"]} <= {*Settings.model_fields, "credentials_directory"}
    assert set(probes) <= {route.path for route in app.routes}


def test_prometheus_takes_the_rules() -> None:
    accept(program("promtool"), "check", "rules", str(OPERATIONS / "alerts.yml"))


def test_systemd_takes_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    unit = tmp_path / "postline.service"
    written = (OPERATIONS / "postline.service").read_text()
    # It has to be an executable that is there.
    unit.write_text(written.replace("/opt/postline/bin/postline", sys.executable))

    accept(program("systemd-analyze"), "verify", "--man=no", str(unit))
    # From 0 for what can do nothing to 10 for what can do everything, in tenths.
    accept(program("systemd-analyze"), "security", "--offline=true", "--threshold=20", "--no-pager", str(unit))


def accept(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
