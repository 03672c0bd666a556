"""The architecture, checked by reading every module: which way imports point, and what no module may do.

The rules are those of docs/architecture.md; an exception stands here with its reason or not at all.
"""

from __future__ import annotations

import ast
import functools
import importlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import varro_assets

PACKAGE = "varro_assets"
ROOT = Path(varro_assets.__file__).parent

FAMILIES = ("statbank", "dimensions", "context", "landed", "crm")
BELOW = {
    "errors": set(),
    "settings": {"errors"},
    "engine": {"errors", "settings"},
    "warehouse": {"engine", "errors", "settings"},
    "follow": {"engine", "errors", "settings"},
    **{family: {"engine", "errors"} for family in FAMILIES},
    "defs": {*FAMILIES, "engine", "errors", "settings", "warehouse", "follow"},
    "definitions": {"defs", "settings"},
    "cli": {*FAMILIES, "defs", "engine", "errors", "settings", "warehouse", "follow", "simulator"},
    # what pretends to be the publisher shares no code with what reads from it
    "simulator": set(),
    "": set(),
}
"""Part of the package -> the other parts it may import."""
EXCEPTIONS = {
    ("statbank.sources", "settings"): "the one place where a family is opened from the settings",
    ("context", "statbank"): "documents are written from its models",
    ("context", "dimensions"): "likewise",
    ("context.sources", "settings"): "as statbank.sources",
}
SLOW_TO_LOAD = {
    "context.maps.map_layers": "geopandas",
    "context.asking.query_rules": "sqlglot",
    "dimensions.links.join_condition": "sqlglot",
    "dimensions.classifications.publisher": "bs4",
}
"""Modules that take a tenth of a second or more to load, for this library: imported only where they are used."""
LAUNCHING = {"cli.runs"}
"""Modules outside `defs` and `definitions` that import dagster: they launch runs."""
ENVIRONMENT = {
    "settings": "reads it, once",
    "cli.session": "gives Dagster, and the processes it starts, the settings in force; looks whether a width is set",
    "cli.database": "psql inherits the user's environment, and the password in it rather than on its command line",
}
LONGEST = 400
NAMES_OF_NOTHING = {"util", "utils", "helper", "helpers", "common", "misc", "shared", "base", "tools"}


@dataclass(frozen=True)
class Module:
    """One source file.

    Attributes:
        name: dotted, below the package; empty for the package itself.
        imports: dotted names imported when it is loaded; ours without the package's name, with a leading dot.
        late: the same, of imports inside functions, with the line.
        typing: the same, of imports that only type checkers see.
    """

    name: str
    path: Path
    tree: ast.Module
    imports: set[str] = field(default_factory=set)
    late: set[tuple[str, int]] = field(default_factory=set)
    typing: set[str] = field(default_factory=set)

    @property
    def part(self) -> str:
        """First component of the name."""
        return self.name.partition(".")[0]


@functools.cache
def modules() -> dict[str, Module]:
    """Every module by name."""
    found: dict[str, Module] = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8"), str(path)))
    for module in found.values():
        _collect(module, module.tree, set(found), late=False, typing=False)
    return found


def _collect(module: Module, node: ast.AST, known: set[str], *, late: bool, typing: bool) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            for target in _targets(child, known):
                if typing:
                    module.typing.add(target)
                elif late:
                    module.late.add((target, child.lineno))
                else:
                    module.imports.add(target)
            continue
        inside = late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        seen_only = typing or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
        _collect(module, child, known, late=inside, typing=seen_only)


def _targets(node: ast.Import | ast.ImportFrom, known: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        assert node.level == 0, f"a relative import in line {node.lineno}"
        base = node.module or ""
        below = base.removeprefix(PACKAGE).lstrip(".")
        ours = base.split(".")[0] == PACKAGE
        # `from varro_assets.engine import periods` means the module, not the package
        dotted = [f"{below}.{alias.name}".lstrip(".") for alias in node.names]
        names = [f"{PACKAGE}.{name}" if ours and name in known else base for name in dotted]
    for name in names:
        yield f".{name.removeprefix(PACKAGE).lstrip('.')}" if name.split(".")[0] == PACKAGE else name


def ours(targets: set[str]) -> set[str]:
    """Imports of this package, without the leading dot."""
    return {target[1:] for target in targets if target.startswith(".")}


def every_import(module: Module) -> set[str]:
    return module.imports | module.typing | {target for target, _ in module.late}


def is_excepted(module: Module, target: str) -> bool:
    return any((who, target.partition(".")[0]) in EXCEPTIONS for who in (module.name, module.part))


def test_every_module_is_seen() -> None:
    assert len(modules()) > 60
    assert {"errors", "settings", "follow", "engine.periods", "statbank.client", "simulator.server"} <= set(modules())
    assert "statbank.models" in ours(modules()["statbank.client"].imports)
    assert "requests" in modules()["statbank.client"].imports
    assert {target for target, _ in modules()["cli.syncing"].late} == {".cli.running"}


def test_every_part_has_its_place() -> None:
    assert {module.part for module in modules().values()} <= set(BELOW)


def test_imports_point_one_way() -> None:
    wrong = [
        f"{module.name} imports {target}"
        for module in modules().values()
        for target in ours(every_import(module))
        if target.partition(".")[0] not in {module.part, "", *BELOW[module.part]} and not is_excepted(module, target)
    ]
    assert wrong == []


def test_every_exception_is_needed() -> None:
    for who, what in EXCEPTIONS:
        mine = [module for module in modules().values() if who in (module.name, module.part)]
        if mine:
            used = {target.partition(".")[0] for module in mine for target in ours(every_import(module))}
            assert what in used, f"{who} no longer imports {what}"


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {name: ours(module.imports) & set(modules()) - {name} for name, module in modules().items()}
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for target in graph[name]:
                # a package that re-exports its modules is loaded before them: that is no cycle of ours
                if not (name.startswith(f"{target}.") or target == ""):
                    walk(target, (*path, name))
            done.add(name)

    for name in graph:
        walk(name, ())


def reaches_dagster(name: str) -> bool:
    """Whether loading the module loads dagster."""
    seen, waiting = set(), [name]
    while waiting:
        module = modules()[waiting.pop()]
        if any(target.split(".")[0].startswith("dagster") for target in module.imports):
            return True
        new = ours(module.imports) & set(modules()) - seen
        seen |= new
        waiting += new
    return False


def test_only_the_launching_modules_import_dagster() -> None:
    importing = {
        module.name
        for module in modules().values()
        if any(target.split(".")[0].startswith("dagster") for target in every_import(module))
    }
    assert {name for name in importing if name.split(".")[0] not in {"defs", "definitions"}} <= LAUNCHING


def test_late_imports_are_of_what_is_slow_to_load() -> None:
    """`varro ls` must not wait for dagster or a parser to load; nothing else justifies an import inside a function."""
    wrong = [
        f"{module.name}, line {line}: {target}"
        for module in modules().values()
        for target, line in module.late
        if target.startswith(".")
        and target[1:] not in SLOW_TO_LOAD
        and not (module.part == "cli" and reaches_dagster(target[1:]))
    ]
    assert wrong == []


def loaded_by(*names: str) -> set[str]:
    """Modules loaded in a fresh process by loading these of ours."""
    script = f"import sys, {', '.join(f'{PACKAGE}.{name}' for name in names)}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120, cwd=ROOT.parent
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "names", [("cli.app",), ("settings", "follow", "warehouse", "statbank.sync", "statbank.sweeps.due")]
)
def test_dagster_is_not_loaded_by(names: tuple[str, ...]) -> None:
    loaded = loaded_by(*names)
    assert {f"{PACKAGE}.{name}" for name in names} <= loaded
    assert {name for name in loaded if name.split(".")[0].startswith("dagster")} == set()


def test_what_is_slow_to_load_is_not_loaded_by_the_command() -> None:
    loaded = loaded_by("cli.app")
    slow = {f"{PACKAGE}.{name}" for name in SLOW_TO_LOAD} | set(SLOW_TO_LOAD.values())
    assert loaded & (slow | {"markdownify", "networkx", "pandas", "sqlalchemy"}) == set()


def test_the_simulator_stands_alone() -> None:
    loaded = {name for name in loaded_by("simulator") if name.startswith(f"{PACKAGE}.")}
    assert f"{PACKAGE}.simulator.server" in loaded
    assert all(name.startswith(f"{PACKAGE}.simulator") for name in loaded)


# -- each module by itself ---------------------------------------------------------------------------------------------


def test_modules_are_named_for_what_they_hold() -> None:
    assert [name for name in modules() if set(name.replace("_", ".").split(".")) & NAMES_OF_NOTHING] == []


def test_no_module_is_too_long() -> None:
    lengths = {name: len(module.path.read_text(encoding="utf-8").splitlines()) for name, module in modules().items()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def _public(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Public classes and functions with what is public in public classes."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from _public(node, f"{prefix}{node.name}.")


def test_everything_public_says_what_it_is() -> None:
    silent = [name for name, module in modules().items() if not ast.get_docstring(module.tree)]
    silent += [
        f"{name}:{inner}"
        for name, module in modules().items()
        for inner, node in _public(module.tree)
        if not ast.get_docstring(node)  # type: ignore[arg-type]
    ]
    assert silent == []


def test_every_module_is_loaded_without_asking_the_environment() -> None:
    """And nobody but the settings asks it later."""
    reading: dict[str, list[int]] = {}
    for name, module in modules().items():
        for node in ast.walk(module.tree):
            text = ast.unparse(node) if isinstance(node, ast.Attribute | ast.ImportFrom) else ""
            if text in {"os.environ", "os.environb", "os.getenv", "os.putenv", "os.unsetenv"} or (
                text.startswith("from os import") and "env" in text
            ):
                reading.setdefault(name, []).append(node.lineno)
    assert {name: lines for name, lines in reading.items() if name not in ENVIRONMENT} == {}


def test_nothing_runs_text_or_unpacks_objects() -> None:
    forbidden_modules = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle"}
    wrong: list[str] = []
    for name, module in modules().items():
        wrong += [f"{name}: {target}" for target in every_import(module) if target.split(".")[0] in forbidden_modules]
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}:
                wrong.append(f"{name}, line {node.lineno}: {called}")
            wrong += [
                f"{name}, line {node.lineno}: shell"
                for keyword in node.keywords
                if keyword.arg == "shell" and ast.unparse(keyword.value) != "False"
            ]
    assert wrong == []


def test_definitions_only_merge() -> None:
    lines = modules()["definitions"].path.read_text(encoding="utf-8").splitlines()
    assert len(lines) < 60


@pytest.mark.parametrize("name", ["errors", "settings", "follow", "engine.planning", "statbank.models"])
def test_modules_can_be_loaded_alone(name: str) -> None:
    assert importlib.import_module(f"{PACKAGE}.{name}").__doc__
