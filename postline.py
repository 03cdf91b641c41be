"""The command `postline`: Litestar's command line with this application, wherever it is installed.

In a wheel, this is `postline/__main__.py`, and the packages are in `postline/` beside it.
"""

import os
import sys
from pathlib import Path

# First, because others may have installed an `app` or `models` too.
sys.path.insert(0, str(Path(__file__).resolve().parent))

import click
from litestar.cli.main import litestar_group

from app import __version__


def main() -> None:
    """Run the command line."""
    os.environ.setdefault("LITESTAR_APP", "app.application:create_app")
    # The service reads .env itself; Litestar would look for one above the folder that it is installed in.
    os.environ["PYTHON_DOTENV_DISABLED"] = "1"
    litestar_group.help = "Serve Postline, and operate it."
    click.version_option(__version__, prog_name="Postline")(litestar_group)(prog_name="postline")


if __name__ == "__main__":
    main()
