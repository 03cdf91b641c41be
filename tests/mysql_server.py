"""Runs a command beside a real MySQL: `python -m tests.mysql_server pytest tests/integration`.

MySQL is the one on the PATH, or else that of Debian's unstable suite, which root can have with debootstrap: it goes to
a folder of its own (about 1 GB in the user's cache) and changes nothing else. Without a command, it is only fetched.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.e2e.server import free_port

_TREE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "postline" / "mysql"
_START_SECONDS = 120


def main(command: list[str]) -> int:
    tree = installed() or _fetched()
    if not command:
        return 0
    with running(tree) as url:
        return subprocess.run(command, env=os.environ | {"TESTING_DATABASE_URL": url}, check=False).returncode


def installed() -> Path | None:
    """Return the root of the file system that has MySQL, or `None` if it would have to be fetched."""
    mysqld = shutil.which("mysqld")
    # MariaDB's server has that name too.
    if mysqld and "MariaDB" not in subprocess.check_output([mysqld, "--version"], text=True):
        return Path("/")
    return _TREE if _TREE.exists() and os.geteuid() == 0 else None


def _fetched() -> Path:
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        sys.exit("There is no MySQL on the PATH, and fetching one takes root and debootstrap.")
    unfinished = _TREE.with_name("mysql.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    packages = "ca-certificates,mysql-server-core,mysql-client-core"
    command = ["debootstrap", "--variant=minbase", f"--include={packages}", "sid", str(unfinished)]
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode != 0:
        sys.exit("MySQL could not be fetched.")
    unfinished.rename(_TREE)
    return _TREE


@contextmanager
def running(tree: Path) -> Iterator[str]:
    """Yield the address of a MySQL whose root has a password, as most have."""
    is_own = tree == Path("/")
    with TemporaryDirectory(dir=None if is_own else tree / "tmp") as folder:
        port = free_port()
        inside = "/" / Path(folder).relative_to(tree)
        (Path(folder) / "init.sql").write_text(
            "CREATE USER root@'127.0.0.1' IDENTIFIED BY 'password'; GRANT ALL ON *.* TO root@'127.0.0.1';\n"
        )
        mysqld = [*([] if is_own else ["chroot", str(tree)]), "mysqld", "--no-defaults", f"--datadir={inside}/data"]
        if os.geteuid() == 0:
            mysqld.append("--user=root")
        log = (Path(folder) / "log").open("ab")
        subprocess.run([*mysqld, "--initialize-insecure"], stdout=log, stderr=log, check=True)
        options = [f"--port={port}", "--bind-address=127.0.0.1", "--mysqlx=OFF", f"--socket={inside}/socket"]
        files = [f"--pid-file={inside}/pid", f"--init-file={inside}/init.sql", "--secure-file-priv=NULL"]
        server = subprocess.Popen([*mysqld, *options, *files], stdout=log, stderr=log)
        try:
            _wait_for(port, server, Path(log.name))
            yield f"mysql+asyncmy://root:password@127.0.0.1:{port}/postline_test?charset=utf8mb4"
        finally:
            server.terminate()
            server.wait()
            log.close()


def _wait_for(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
