"""The simulator shares no code with what it is used to test."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import varro_assets.simulator

PACKAGE = Path(varro_assets.simulator.__file__).parent
ALLOWED = {*sys.stdlib_module_names, "numpy", "shapely"}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, path
            names.add(node.module or "")
    return names


def test_imports() -> None:
    modules = sorted(PACKAGE.glob("*.py"))
    assert len(modules) > 15
    for path in modules:
        for name in imported(path):
            own = name == "varro_assets.simulator" or name.startswith("varro_assets.simulator.")
            assert own or name.partition(".")[0] in ALLOWED, f"{path.name} imports {name}"
