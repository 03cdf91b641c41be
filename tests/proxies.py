"""nginx and Caddy as docs/operations sets them up, on ports of this machine."""

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path
from urllib.parse import urlsplit

from tests.services import program

OPERATIONS = Path(__file__).resolve().parents[1] / "docs" / "operations"
START_SECONDS = 60
STOP_SECONDS = 20


@contextmanager
def nginx_to(service: str, port: int, certificate: Path, key: Path, folder: Path) -> Iterator[str]:
    """Run nginx in front of a service, with the documented file in a configuration that is as bare as can be."""
    site = _filled(
        "nginx.conf",
        {
            "127.0.0.1:8000": urlsplit(service).netloc,
            "listen 443": f"listen 127.0.0.1:{port}",
            "server_name posts.example.com": "server_name 127.0.0.1",
            "/etc/ssl/certs/posts.example.com.pem": str(certificate),
            "/etc/ssl/private/posts.example.com.key": str(key),
        },
    )
    paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{path}_temp_path {folder}/{path};\n" for path in paths)
    main = folder / "main.conf"
    # Workers would be another user otherwise, who can't enter the folder.
    main.write_text(
        f"user {getuser()};\ndaemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;\n"
        f"events {{}}\nhttp {{ access_log off;\n{temporary}{site}}}\n"
    )
    with _running([program("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(main)], folder, port):
        yield f"https://127.0.0.1:{port}"


@contextmanager
def caddy_to(service: str, port: int, certificate: Path, key: Path, folder: Path) -> Iterator[str]:
    """Run Caddy in front of a service, with the documented file; its own authority and its API are off."""
    site = _filled(
        "Caddyfile",
        {
            "127.0.0.1:8000": urlsplit(service).netloc,
            "posts.example.com {": f"https://127.0.0.1:{port} {{\n\tbind 127.0.0.1\n\ttls {certificate} {key}",
        },
    )
    with _caddy(
        f"{{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system {folder}\n}}\n{site}", folder, port
    ):
        yield f"https://127.0.0.1:{port}"


@contextmanager
def caddy_to_nodes(nodes: Sequence[str], port: int, folder: Path) -> Iterator[str]:
    """Run Caddy in front of several nodes as Compose does, with their addresses in place of Docker's name server."""
    config = _filled(
        "nodes.Caddyfile",
        {
            "admin off": f"admin off\n\tstorage file_system {folder}",
            ":8000 {": f"http://127.0.0.1:{port} {{\n\tbind 127.0.0.1",
            "dynamic a app 8000 {\n\t\t\trefresh 1s\n\t\t}": f"to {' '.join(urlsplit(node).netloc for node in nodes)}",
        },
    )
    with _caddy(config, folder, port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _caddy(config: str, folder: Path, port: int) -> Iterator[None]:
    main = folder / "Caddyfile"
    main.write_text(config)
    with _running([program("caddy"), "run", "--config", str(main), "--adapter", "caddyfile"], folder, port):
        yield


def _filled(name: str, values: dict[str, str]) -> str:
    text = (OPERATIONS / name).read_text()
    for written, here in values.items():
        assert written in text, f"{name} has no {written}"
        text = text.replace(written, here)
    return text


@contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    log = folder / "proxy.log"
    with (
        log.open("w") as output,
        subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, env={"HOME": str(folder)}) as process,
    ):
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port)):
            return True
    except OSError:
        return False
