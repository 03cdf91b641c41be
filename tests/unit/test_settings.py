"""Settings: where they come from, and what is said of unusable ones."""

import re
import stat
from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from app.auth.keys import load_keyring
from app.errors import ConfigurationError
from app.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_URL = "mysql+asyncmy://root:123456789@localhost:5444/backend?charset=utf8mb4"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def test_without_any_setting_the_database_is_sqlite_in_the_data_folder() -> None:
    assert load_settings().database.render_as_string() == "sqlite+aiosqlite:///data/development.db"


def test_each_environment_has_its_own_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("DEVELOPMENT_DATABASE_URL", COMPOSE_URL)
    monkeypatch.setenv("TESTING_DATABASE_URL", "sqlite:///testing.db")

    assert load_settings().database.render_as_string(hide_password=False) == COMPOSE_URL
    monkeypatch.setenv("ENVIRONMENT", "testing")
    assert load_settings().database.render_as_string() == "sqlite+aiosqlite:///testing.db"


def test_database_url_goes_before_the_environments_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVELOPMENT_DATABASE_URL", COMPOSE_URL)
    monkeypatch.setenv("DATABASE_URL", "mysql://me@db/posts")

    assert load_settings().database.render_as_string() == "mysql+asyncmy://me@db/posts"


def test_settings_come_from_the_env_file_too() -> None:
    Path(".env").write_text("CACHE_SECONDS=7\nDATABASE_URL=\n")

    assert (load_settings().cache_seconds, load_settings().database_url) == (7, None)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("ENVIRONMENT", "staging", "ENVIRONMENT: Input should be 'development', 'testing' or 'production'"),
        ("DATABASE_URL", "postgresql://u:hunter2@h/d", "DATABASE_URL: names a database that is not supported"),
        ("DATABASE_URL", "mysql+pymysql://u:hunter2@h/d", "DATABASE_URL: names a database that is not supported"),
        ("DATABASE_URL", "hunter2", "DATABASE_URL: is no database URL"),
        ("DATABASE_URL", "mysql://u:hunter2@h:99999/d", "DATABASE_URL: is no database URL"),
        ("DATABASE_URL", "mysql://u:hunter2@h/d?foo=bar", "DATABASE_URL: has an option after the question mark"),
        ("DATABASE_URL", "mysql://u:hunter2@h/d?local_infile=x", "DATABASE_URL: has an option after the question mark"),
        ("DATABASE_URL", "mysql://u:hunter2@h/d?connect_timeout=9", "DATABASE_URL: has an option after the question"),
        ("DATABASE_URL", "mysql://u:hunter2@h", "DATABASE_URL: names no lasting database"),
        ("DATABASE_URL", "sqlite+aiosqlite:///:memory:", "DATABASE_URL: names no lasting database"),
        ("DATABASE_URL", "sqlite+aiosqlite://", "DATABASE_URL: names no lasting database"),
        ("CACHE_SECONDS", "301", "CACHE_SECONDS: Input should be less than or equal to 300"),
        ("AUTH_RATE_LIMIT", "often", "AUTH_RATE_LIMIT: is no limit"),
        ("AUTH_RATE_LIMIT", "0/minute", "AUTH_RATE_LIMIT: must allow at least one"),
        ("FAILURE_LIMITS", "5/minute;0/hour", "FAILURE_LIMITS: must allow at least one"),
        ("ARGON2_MEMORY_KIB", "99999999999", "ARGON2_MEMORY_KIB: Input should be less than or equal to"),
        ("ARGON2_PARALLELISM", "99999999999", "ARGON2_PARALLELISM: Input should be less than or equal to"),
        ("ACCESS_TOKEN_SECONDS", "99999999999999", "ACCESS_TOKEN_SECONDS: Input should be less than or equal to"),
        ("SESSION_SECONDS", "99999999999999", "SESSION_SECONDS: Input should be less than or equal to"),
        ("PRUNE_SECONDS", "99999999999999", "PRUNE_SECONDS: Input should be less than or equal to"),
        ("TRUSTED_PROXIES", "10.0.0.1,proxy", "TRUSTED_PROXIES: takes addresses and networks"),
        ("TRUSTED_PROXIES", "10.0.0.1,*", "TRUSTED_PROXIES: takes addresses and networks"),
        ("ALLOWED_HOSTS", "http://api.example.com/", "ALLOWED_HOSTS: takes names without scheme and port"),
        ("ALLOWED_HOSTS", "api.example.com:8000", "ALLOWED_HOSTS: takes names without scheme and port"),
        ("CORS_ALLOWED_ORIGINS", "example.com", "CORS_ALLOWED_ORIGINS: takes origins, such as https://"),
        ("CORS_ALLOWED_ORIGINS", "https://example.com/", "CORS_ALLOWED_ORIGINS: takes origins, such as https://"),
        ("WEBHOOK_ALLOWED_NETWORKS", "10.0.0.1/8", "WEBHOOK_ALLOWED_NETWORKS: takes addresses and networks"),
        ("ACCESS_TOKEN_SECONDS", "soon", "ACCESS_TOKEN_SECONDS: Input should be a valid integer"),
    ],
)
def test_an_unusable_value_is_named_but_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, complaint: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert complaint in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_argon2_needs_memory_for_each_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGON2_MEMORY_KIB", "31")
    monkeypatch.setenv("ARGON2_PARALLELISM", "4")
    with pytest.raises(ConfigurationError, match="ARGON2_MEMORY_KIB must be at least 8 times ARGON2_PARALLELISM"):
        load_settings()

    monkeypatch.setenv("ARGON2_MEMORY_KIB", "32")
    assert load_settings().argon2_parallelism == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", COMPOSE_URL),
        ("TRUSTED_PROXIES", "*"),
        ("TRUSTED_PROXIES", "10.0.0.1,fd00::/8"),
        ("ALLOWED_HOSTS", "localhost,10.0.0.1,my_service,*.example.org"),
        ("CORS_ALLOWED_ORIGINS", "*"),
        ("CORS_ALLOWED_ORIGINS", "http://localhost:3000,https://*.example.com,chrome-extension://abcdef,null"),
    ],
)
def test_what_operators_write_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    taken = getattr(load_settings(), name.lower())
    assert (taken if isinstance(taken, str) else ",".join(taken)) == value


def test_hosts_and_origins_are_compared_in_lower_case_as_browsers_send_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "API.example.com")
    monkeypatch.setenv("CORS_ALLOWED_ORIGINS", "https://App.example.com")

    settings = load_settings()
    assert (settings.allowed_hosts, settings.cors_allowed_origins) == (
        ("api.example.com",),
        ("https://app.example.com",),
    )


@pytest.mark.parametrize("secret", [None, "", "short", "a" * 64, "change-me"])
def test_production_takes_no_missing_or_weak_secret(monkeypatch: pytest.MonkeyPatch, secret: str | None) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    if secret is not None:
        monkeypatch.setenv("JWT_SECRET", secret)

    with pytest.raises(ConfigurationError, match="JWT_SECRET"):
        load_settings()


def test_production_takes_a_strong_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("JWT_SECRET", "8f1d0c7be24a96553b7e08d1f2c4a6b9")

    assert load_keyring(load_settings()).current == "8f1d0c7be24a96553b7e08d1f2c4a6b9"


def test_elsewhere_a_secret_is_generated_once_and_kept_for_the_owner_only() -> None:
    settings = load_settings()

    secret = load_keyring(settings).current

    assert len(secret) >= 64
    assert load_keyring(settings).current == secret
    assert stat.S_IMODE(Path("data/jwt_secret").stat().st_mode) == 0o600
    assert stat.S_IMODE(Path("data").stat().st_mode) == 0o700
    assert [path.name for path in Path("data").iterdir()] == ["jwt_secret"]


def test_processes_that_start_at_once_agree_on_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    secret = load_keyring(settings).current
    # The other process looked before the file was there, and links its own draft after.
    monkeypatch.setattr(Path, "exists", lambda self: self.name != "jwt_secret")

    assert load_keyring(settings).current == secret


def test_an_unusable_data_folder_is_one_line() -> None:
    Path("occupied").write_text("a file, no folder")
    settings = Settings(data_dir=Path("occupied"))

    with pytest.raises(ConfigurationError, match="the data folder occupied can't be used"):
        load_keyring(settings)


def test_a_secret_is_not_shown_when_settings_are_printed() -> None:
    assert "hunter2" not in repr(Settings(jwt_secret=SecretStr("hunter2")))


def test_the_example_lists_each_setting_with_its_default() -> None:
    lines = re.findall(r"^([A-Z0-9_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    listed = {name: value for name, value in lines if not name.startswith("MYSQL_")}
    defaults = Settings().model_dump()

    assert listed == {name.upper(): "" if value in (None, ()) else str(value) for name, value in defaults.items()}


def test_words_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "api.example.com, *.example.org,")
    monkeypatch.setenv("JWT_PREVIOUS_SECRETS", "one,two")
    monkeypatch.setenv("JWT_SECRET", "three")

    settings = load_settings()

    assert settings.allowed_hosts == ("api.example.com", "*.example.org")
    assert load_keyring(settings).secrets == ("three", "one", "two")


def test_compose_hands_every_setting_on() -> None:
    handed_on = set(re.findall(r"^  ([A-Z0-9_]+):", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE))
    set_by_compose_or_the_image = {
        "DATA_DIR",
        "DEVELOPMENT_DATABASE_URL",
        "TESTING_DATABASE_URL",
        "PRODUCTION_DATABASE_URL",
    }

    assert {name.upper() for name in Settings.model_fields} - set_by_compose_or_the_image <= handed_on


def test_render_sets_nothing_that_is_not_a_setting() -> None:
    (service,) = yaml.safe_load((ROOT / "render.yaml").read_text())["services"]  # type: ignore[no-untyped-call]
    read_by_the_platform_and_the_server = {"PORT", "WEB_CONCURRENCY"}

    named = {variable["key"] for variable in service["envVars"]}
    assert named - read_by_the_platform_and_the_server <= {name.upper() for name in Settings.model_fields}


def test_redis_is_refused_where_one_process_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://localhost:6379/0")
    with pytest.raises(ConfigurationError, match="REDIS_URL is for several processes"):
        load_settings()

    monkeypatch.setenv("DATABASE_URL", "mysql://root@localhost/backend")
    assert load_settings().redis_url == "redis://localhost:6379/0"


def test_an_unusable_redis_url_is_named_but_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://root@localhost/backend")
    monkeypatch.setenv("REDIS_URL", "http://:hunter2@localhost")
    with pytest.raises(ConfigurationError, match="REDIS_URL: is no Redis URL") as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)


def test_networks_that_webhooks_may_call_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/8, ::1/128")
    assert load_settings().webhook_allowed_networks == (ip_network("10.0.0.0/8"), ip_network("::1/128"))

    monkeypatch.setenv("WEBHOOK_ALLOWED_NETWORKS", "everywhere")
    with pytest.raises(ConfigurationError, match="WEBHOOK_ALLOWED_NETWORKS"):
        load_settings()
