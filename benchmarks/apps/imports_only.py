"""The service's modules, imported and not used. It prints how many MiB each package takes, as JSON, largest first."""

import importlib
import json
import os
from collections import Counter
from importlib.machinery import ExtensionFileLoader, SourceFileLoader
from types import ModuleType
from typing import Any

from tests import memory

_OWN = {"app", "controllers", "events", "migrations", "models"}


def main() -> None:
    """Import the service, and note by how much the process grows with each module, without those that it imports."""
    taken: Counter[str] = Counter()
    # For each module that is being imported, what the modules that it imports have taken.
    nested = [0]

    def measured(loader: Any, name: str) -> None:
        step = getattr(loader, name)

        def run(self: Any, about: Any) -> ModuleType | None:
            before = memory.resident(os.getpid())
            nested.append(0)
            try:
                result: ModuleType | None = step(self, about)
                return result
            finally:
                growth = memory.resident(os.getpid()) - before
                package = about.__name__ if isinstance(about, ModuleType) else about.name
                package = package.partition(".")[0]
                taken["its own" if package in _OWN else package] += growth - nested.pop()
                nested[-1] += growth

        setattr(loader, name, run)

    measured(SourceFileLoader, "exec_module")
    measured(ExtensionFileLoader, "create_module")
    measured(ExtensionFileLoader, "exec_module")
    importlib.import_module("app.application")
    print(json.dumps({package: grown / 1_048_576 for package, grown in taken.most_common()}))


if __name__ == "__main__":
    main()
