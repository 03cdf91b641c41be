"""The picture of the packages and their imports in docs/architecture.md; `python -m tests.package_graph` prints it."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ["app", "controllers", "events", "models"]
NODES = {
    "app.application",
    "app.service",
    "controllers",
    "events",
    "models",
    *(f"app.{folder.name}" for folder in (ROOT / "app").iterdir() if (folder / "__init__.py").exists()),
}


def package_graph() -> str:
    """Return a Mermaid flowchart of the packages and the two composing modules, made from the code's imports.

    An arrow that follows from others is left out: if A imports B and B imports C, that A imports C too is not drawn.
    """
    imports: dict[str, set[str]] = {}
    for module, imported in _imports():
        imports.setdefault(module, set()).add(imported)
        imports.setdefault(imported, set())
    arrows = [
        (package, target)
        for package in sorted(imports)
        for target in sorted(imports[package])
        if not any(target in _reachable(imports, other) for other in imports[package] - {target})
    ]
    return "\n".join(["flowchart TD", *(f"    {_node(a)} --> {_node(b)}" for a, b in arrows)])


def _imports() -> Iterator[tuple[str, str]]:
    for path in sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py")):
        package = _package(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.ImportFrom(module=str(module), names=names):
                    # `from app import batching` names a module, `from app.errors import NotFound` does not.
                    found = [f"{module}.{name.name}" for name in names] if module == "app" else [module]
                case ast.Import(names=names):
                    found = [name.name for name in names]
                case _:
                    continue
            for name in found:
                target = _package(name)
                if package != target and {package, target} <= NODES:
                    yield package, target


def _package(module: str) -> str:
    return ".".join(module.split(".")[: 2 if module.startswith("app.") else 1]).removesuffix(".__init__")


def _reachable(imports: dict[str, set[str]], package: str) -> set[str]:
    found: set[str] = set()
    waiting = [package]
    while waiting:
        for target in imports[waiting.pop()] - found:
            found.add(target)
            waiting.append(target)
    return found


def _node(package: str) -> str:
    return f"{package.replace('.', '_')}[{package}]"


if __name__ == "__main__":
    print(package_graph())  # noqa: T201
