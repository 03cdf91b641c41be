"""The Compose files, and what the guides say of them. That they are valid is checked by `make check`."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
COMMAND = re.compile(r"^ *docker compose (.+?)(?:  .*)?$", re.MULTILINE)


class _Loader(yaml.SafeLoader):
    """Reads a value that Compose's `!override` is before."""


_Loader.add_constructor("!override", yaml.SafeLoader.construct_yaml_seq)  # type: ignore[no-untyped-call]


def services(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load((ROOT / name).read_text(), _Loader)["services"]  # type: ignore[no-untyped-call]  # noqa: S506
    return found


@pytest.fixture
def compose() -> dict[str, Any]:
    return services("docker-compose.yml")


@pytest.fixture
def scale() -> dict[str, Any]:
    return services("docker-compose.scale.yml")


def test_a_change_of_what_the_image_copies_is_watched(compose: dict[str, Any]) -> None:
    copied = re.findall(r"^COPY (?!--)(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    watched = {one["path"] for one in compose["app"]["develop"]["watch"]}

    assert watched == {path.partition("/")[0].removesuffix("/") for path in copied} | {"Dockerfile"}


def test_the_image_of_the_service_migrates(compose: dict[str, Any]) -> None:
    migrate = compose["migrate"]

    assert "build" in compose["app"]
    assert (migrate["image"], migrate["pull_policy"]) == ("${COMPOSE_PROJECT_NAME}-app", "never")
    assert compose["app"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_what_starts_by_itself_is_the_service_and_what_it_needs(compose: dict[str, Any]) -> None:
    by_itself = {name for name, service in compose.items() if "profiles" not in service}

    assert by_itself == {"app", *compose["app"]["depends_on"]}


def test_nodes_are_reached_through_the_proxy_only(compose: dict[str, Any], scale: dict[str, Any]) -> None:
    proxied = (ROOT / "docs/operations/nodes.Caddyfile").read_text()

    assert scale["app"]["ports"] == []
    assert scale["proxy"]["ports"] == compose["app"]["ports"]
    assert "dynamic a app 8000 " in proxied
    # Or all clients would count as one.
    assert set(scale["app"]["environment"]) == {"TRUSTED_PROXIES"}


def test_guides_name_services_that_exist(compose: dict[str, Any], scale: dict[str, Any]) -> None:
    commands = [command for page in PAGES for command in COMMAND.findall(page.read_text())]
    assert commands

    assert [command for command in commands if not {*compose, *scale} & set(re.split("[ =]", command))] == []
