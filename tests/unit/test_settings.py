"""Settings: where they come from, and what is said of unusable ones."""

import errno
import os
import re
import stat
import subprocess
from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml
from dotenv import dotenv_values
from pydantic import SecretStr

from app.auth.keys import load_keyring
from app.errors import ConfigurationError
from app.settings import MailServer, Settings, StartTLS, load_settings, misspelt_settings

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


def test_secrets_may_be_files_of_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "jwt_secret").write_text("8f1d0c7be24a96553b7e08d1f2c4a6b9\n")
    (tmp_path / "database_url").write_text("mysql://me:hunter2@db/posts")
    monkeypatch.setenv("DATABASE_URL", "mysql://me@other/posts")

    settings = load_settings()

    assert settings.jwt_secret == SecretStr("8f1d0c7be24a96553b7e08d1f2c4a6b9")
    assert settings.database.host == "other"


def test_a_folder_or_a_file_of_secrets_that_can_not_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "missing"))
    with pytest.raises(ConfigurationError, match=r"CREDENTIALS_DIRECTORY is .*missing, which is no folder"):
        load_settings()

    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "jwt_secret").write_bytes(b"\xff\xfe hunter2")
    with pytest.raises(ConfigurationError, match=r"a file in .* can't be read as UTF-8") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


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
        *(
            ("DATABASE_URL", f"mysql://u:hunter2@h/d?{option}", "it takes ?ssl_ca=/path/to/ca.pem")
            for option in ("ssl=true", "ssl=1", "SSL=true", "ssl_mode=REQUIRED", "sslmode=require", "tls=1")
        ),
        *(
            ("DATABASE_URL", f"mysql://u:hunter2@h/d?{option}", "DATABASE_URL: has an option after the question mark")
            for option in (
                *(
                    "port=3307",
                    "password=hunter2",
                    "user=x",
                    "db=x",
                    "autocommit=true",
                    "max_allowed_packet=1",
                    "conv=x",
                ),
                *("cursor_cls=x", "echo=true", "binary_prefix=1", "read_timeout=1", "client_flag=x", "use_unicode=x"),
                *("charset=", "ssl_ca=", "ssl_ca", "ssl=", "charset=utf8mb4&ssl_ca=", "charset=a&charset=b"),
                *("ssl_check_hostname=x", "hunter2=1", "auth_plugin_map=x", "stmt_cache_size=x", "sock=1", "conv=x"),
            )
        ),
        *(
            ("DATABASE_URL", f"sqlite:///d.db?{option}", "DATABASE_URL: has an option after the question mark")
            for option in ("mode=ro", "uri=true", "isolation_level=x", "detect_types=1", "timeout=x", "timeout=", "foo")
        ),
        ("DATABASE_URL", "mysql://u:hunter2@h/d?ssl_ca=/nowhere/hunter2.pem", "names a certificate, key or cipher"),
        ("DATABASE_URL", "mysql://u:hunter2@h/d?ssl_cipher=hunter2", "names a certificate, key or cipher"),
        *(
            ("DATABASE_URL", url, "DATABASE_URL: names no database")
            for url in (
                "mysql://u:hunter2@h",
                *("sqlite://", "sqlite+aiosqlite://", "sqlite:///"),
                *("sqlite:///file::memory:", "sqlite:///file:hunter2?mode=memory", "sqlite:///:memory:hunter2"),
            )
        ),
        ("DATABASE_URL", "sqlite:///:memory:?cache=shared", "DATABASE_URL: has an option after the question mark"),
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
        ("ROOT_PATH", "postline", "ROOT_PATH: takes a path, such as /postline"),
        ("ROOT_PATH", "//evil.example", "ROOT_PATH: takes a path, such as /postline"),
        ("ROOT_PATH", '/a"><script>', "ROOT_PATH: takes a path, such as /postline"),
        ("ROOT_PATH", "https://example.com/a", "ROOT_PATH: takes a path, such as /postline"),
        ("KEEP_ALIVE_SECONDS", "0", "KEEP_ALIVE_SECONDS: Input should be greater than or equal to 1"),
        ("ALLOWED_HOSTS", "::1", "ALLOWED_HOSTS: takes names without scheme and port"),
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
        ("TRUSTED_PROXIES", "unix"),
        ("TRUSTED_PROXIES", "unix,10.0.0.1"),
        ("ROOT_PATH", "/postline"),
        ("ROOT_PATH", "/apps/postline-2.0_x~y"),
        ("ALLOWED_HOSTS", "localhost,10.0.0.1,my_service,*.example.org,[::1]"),
        ("CORS_ALLOWED_ORIGINS", "*"),
        ("CORS_ALLOWED_ORIGINS", "http://localhost:3000,https://*.example.com,chrome-extension://abcdef,null"),
    ],
)
def test_what_operators_write_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    taken = getattr(load_settings(), name.lower())
    assert (taken if isinstance(taken, str) else ",".join(taken)) == value


@pytest.mark.parametrize("written", ["/", "/postline/", "/postline"])
def test_a_root_path_has_no_final_slash(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("ROOT_PATH", written)

    assert load_settings().root_path == written.rstrip("/")


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


UNUSABLE = {
    "huge": "9" * 5000,
    "negative": "-1",
    "infinite": "1e400",
    "no number": "nan",
    "emoji": "💥",
    "not UTF-8": "\udcff",
    "a space": " ",
    "a control character": "\x01",
    "brackets": "[{",
    "an unfinished URL": "mysql://[::1/database",
    "another URL": "https://user:hunter2@host:99999/",
}


@pytest.mark.parametrize("value", UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize("name", Settings.model_fields)
def test_whatever_a_setting_is_it_is_taken_or_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name.upper(), value)

    try:
        settings = load_settings()
        if name.startswith("jwt"):
            load_keyring(settings)
    except ConfigurationError as refused:
        said = str(refused)
        assert said.startswith(name.upper())
        assert "\n" not in said
        assert len(said) < 300
        assert "hunter2" not in said


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_that_is_empty_has_its_default(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    default = getattr(load_settings(), name)
    monkeypatch.setenv(name.upper(), "")

    assert getattr(load_settings(), name) == default


def test_a_window_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILURE_LIMITS", f"1/{'9' * 30}minute")

    with pytest.raises(ConfigurationError, match="FAILURE_LIMITS: must have windows of a century at most"):
        load_settings()


def test_an_env_file_that_is_not_utf_8_is_one_line() -> None:
    Path(".env").write_bytes(b"JWT_SECRET=\xff\xfe\n")

    with pytest.raises(ConfigurationError, match=r"^\.env is not UTF-8$"):
        load_settings()


def test_an_env_file_that_can_not_be_read_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("CACHE_SECONDS=7\n")
    # As root may read everything, the system's refusal is made here.
    monkeypatch.setattr("builtins.open", refuse)

    with pytest.raises(ConfigurationError, match=r"^\.env can't be read: Permission denied$"):
        load_settings()


def refuse(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_an_env_folder_is_no_env_file() -> None:
    Path(".env").mkdir()

    assert load_settings().cache_seconds == 300
    assert misspelt_settings() == {}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("JWT_SECERT", "JWT_SECRET"),
        ("DATABSE_URL", "DATABASE_URL"),
        ("cache_secnds", "CACHE_SECONDS"),
        ("REDIS_URI", "REDIS_URL"),
        ("WEB_CONCURENCY", "WEB_CONCURRENCY"),
        ("SOMETHING_ELSE_ENTIRELY", None),
    ],
)
def test_a_name_in_the_env_file_that_is_no_setting_is_found_with_the_nearest_one(name: str, meant: str | None) -> None:
    Path(".env").write_text(f"CACHE_SECONDS=7\n{name}=hunter2\n")

    assert misspelt_settings() == {name: meant}


def test_names_that_others_read_are_no_mistakes() -> None:
    example = (ROOT / ".env.example").read_text()
    Path(".env").write_text(
        f"{example}\nUVICORN_PORT=1\nLITESTAR_PORT=1\nOTEL_SERVICE_NAME=x\nPORT=1\nWEB_CONCURRENCY=2\n"
    )

    assert misspelt_settings() == {}


def test_a_shell_reads_the_example_as_the_service_does() -> None:
    source = f"set -eu; set -a; . {ROOT / '.env.example'}; env"
    ran = subprocess.run(["sh", "-c", source], env={}, capture_output=True, text=True, check=True)

    by_shell = dict(line.split("=", 1) for line in ran.stdout.splitlines())
    by_service = dotenv_values(ROOT / ".env.example")
    assert ran.stderr == ""
    assert {name: by_shell[name] for name in by_service} == by_service


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.com", MailServer("mail.example.com", 587, None, None, False, StartTLS.REQUIRED)),
        (
            "smtp://ada%40example.com:p%2F%23s@mail.example.com:2525/?starttls=opportunistic",
            MailServer("mail.example.com", 2525, "ada@example.com", "p/#s", False, StartTLS.OPPORTUNISTIC),
        ),
        ("smtp://[::1]:25?starttls=never", MailServer("::1", 25, None, None, False, StartTLS.NEVER)),
        ("smtps://a:b@mail.example.com", MailServer("mail.example.com", 465, "a", "b", True, StartTLS.REQUIRED)),
    ],
)
def test_a_mail_server_is_read_from_its_url(monkeypatch: pytest.MonkeyPatch, url: str, server: MailServer) -> None:
    monkeypatch.setenv("MAIL_URL", url)

    assert load_settings().mail_server == server


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAIL_URL", "mail.example.com"),
        ("MAIL_URL", "http://mail.example.com"),
        ("MAIL_URL", "smtp://"),
        ("MAIL_URL", "smtp://mail.example.com:70000"),
        ("MAIL_URL", "smtp://mail.example.com/inbox"),
        ("MAIL_URL", "smtp://ada:s3cret#more@mail.example.com"),
        ("MAIL_URL", "smtp://ada@mail.example.com"),
        ("MAIL_URL", "smtp://:s3cret@mail.example.com"),
        ("MAIL_URL", "smtp://mail.example.com?starttls=yes"),
        ("MAIL_URL", "smtp://mail.example.com?tls=required"),
        ("MAIL_URL", "smtps://mail.example.com?starttls=never"),
        ("MAIL_FROM", "nobody"),
        ("MAIL_FROM", "a@example.com, b@example.com"),
        ("MAIL_FROM", "Ada <a@example.com>\nBcc: b@example.com"),
        ("PUBLIC_URL", "posts.example.com"),
        ("PUBLIC_URL", "ftp://posts.example.com"),
        ("PUBLIC_URL", "https://posts.example.com/?a=b"),
        ("PUBLIC_URL", "https://posts.example.com/#a"),
        ("PUBLIC_URL", "https://ada@posts.example.com"),
        ("PUBLIC_URL", "https://posts.example.com/ x"),
        ("MAIL_RATE_LIMIT", "often"),
    ],
)
def test_what_mails_can_not_use_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=rf"^{name}: [^\n]+$") as refused:
        load_settings()
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("environment", "mail_url", "host"),
    [
        ("development", "", "mailpit.example"),
        ("development", "smtp://mail.example.com", "mail.example.com"),
        ("testing", "", None),
        ("production", "", None),
    ],
)
def test_the_mail_server_of_development_is_for_development_without_another(
    monkeypatch: pytest.MonkeyPatch, environment: str, mail_url: str, host: str | None
) -> None:
    monkeypatch.setenv("ENVIRONMENT", environment)
    monkeypatch.setenv("JWT_SECRET", "3c9a1f5e7b2d8c4a6f0e1d3b5a7c9e2f4b6d8a0c1e3f5a7b9d2c4e6f8a0b1c3d")
    monkeypatch.setenv("DEVELOPMENT_MAIL_URL", "smtp://mailpit.example:1025?starttls=never")
    monkeypatch.setenv("MAIL_URL", mail_url)

    settings = load_settings()

    assert (settings.mail_server.host if settings.mail_server else None) == host
    assert settings.sends_mail is (environment != "production")


def test_what_compose_sets_starts_production_without_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())  # type: ignore[no-untyped-call]
    handed_on = compose["services"]["app"]["environment"]
    for name in ("MAIL_URL", "MAIL_FROM", "PUBLIC_URL"):
        assert handed_on[name] is None
    url = handed_on["DEVELOPMENT_MAIL_URL"].removeprefix("${DEVELOPMENT_MAIL_URL:-").removesuffix("}")
    monkeypatch.setenv("DEVELOPMENT_MAIL_URL", url)
    assert load_settings().mail_server == MailServer("mail", 1025, None, None, False, StartTLS.NEVER)

    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("JWT_SECRET", "3c9a1f5e7b2d8c4a6f0e1d3b5a7c9e2f4b6d8a0c1e3f5a7b9d2c4e6f8a0b1c3d")
    assert not load_settings().sends_mail


def test_production_with_a_mail_server_says_what_its_mails_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("JWT_SECRET", "3c9a1f5e7b2d8c4a6f0e1d3b5a7c9e2f4b6d8a0c1e3f5a7b9d2c4e6f8a0b1c3d")
    assert not load_settings().sends_mail
    assert load_settings().links_lead_to is None

    monkeypatch.setenv("MAIL_URL", "smtp://mail.example.com")
    with pytest.raises(ConfigurationError, match="MAIL_FROM must be set"):
        load_settings()
    monkeypatch.setenv("MAIL_FROM", "Postline <postline@example.com>")
    with pytest.raises(ConfigurationError, match="PUBLIC_URL must be set"):
        load_settings()
    monkeypatch.setenv("PUBLIC_URL", "https://posts.example.com/")

    assert load_settings().sends_mail
    assert load_settings().links_lead_to == "https://posts.example.com"


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+aiosqlite"])
def test_a_database_in_memory_writes_no_mails_to_disk(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{scheme}:///:memory:")
    assert load_settings().is_in_memory
    assert not load_settings().sends_mail

    monkeypatch.setenv("DEVELOPMENT_MAIL_URL", "smtp://mailpit.example:1025?starttls=never")
    assert load_settings().sends_mail


def test_a_file_is_not_in_memory() -> None:
    assert not load_settings().is_in_memory
