"""The floors: imports go down only (ARCHITECTURE.md). A new module needs a floor here before it may be imported."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "python" / "headway"
CORE = ROOT / "crates" / "core"

#: Python, from the ground up: a module imports from lower floors only, lazy imports included.
FLOORS = tuple(
    set(line.split())
    for line in (
        "_core _checks _errors _fields _warn _record _library _pictures _engine _pyfeed",
        "_options _nodes _metrics _log _waiting _batching",
        "_sample _out _prepared _ortvalue _environment _threads _model_config _adapter _nodespec _plugins",
        "_providers _sparse _delivery _parallel _stream _pipeline _warmup _lanes _suite_checks",
        "_engines",
        "_load _health _arguments _surface _binding _astream _futures _batch run",
        "_conventions _lane",
        "session _late",
        "_suite",
        "testing",
        "__init__",
        "_demo ez_rknn ort",
        "cli",
        "__main__",
    )
)
_FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}

#: Rust's core: words, then pure steps, then what the lock holds. What acts (threads, clocks, wake-ups) stands above.
WORDS = {"error", "sync", "clock", "value", "request", "engine", "work"}
PURE = {
    "admission",
    "schedule",
    "reorder",
    "metrics",
    "keys",
    "deadlines",
    "batch",
    "cost",
    "placement",
    "samples",
    "vigil",
}
LOCKED = {"state", "slot", "bell"}


def _modules() -> list[str]:
    return sorted({path.relative_to(PACKAGE).with_suffix("").parts[0] for path in PACKAGE.rglob("*.py")})


def _files(module: str) -> Iterator[Path]:
    if (PACKAGE / module).is_dir():
        yield from (PACKAGE / module).rglob("*.py")
    else:
        yield PACKAGE / f"{module}.py"


class _Imports(ast.NodeVisitor):
    """Modules of headway that a file imports when it runs; what only a type checker sees does not count."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def visit_If(self, node: ast.If) -> None:
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name.split("."))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level == 0 and node.module is not None:
            for alias in node.names:
                self._add([*node.module.split("."), alias.name])

    def _add(self, path: list[str]) -> None:
        if path[0] == "headway":
            self.found.add(path[1] if len(path) > 1 and path[1] in _FLOOR_OF else "__init__")


def test_every_module_has_a_floor() -> None:
    assert set(_modules()) <= set(_FLOOR_OF)


@pytest.mark.parametrize("module", _modules())
def test_python_imports_go_down(module: str) -> None:
    imports = _Imports()
    for file in _files(module):
        imports.visit(ast.parse(file.read_text(encoding="utf-8")))
    upward = {name for name in imports.found - {module} if _FLOOR_OF[name] >= _FLOOR_OF[module]}
    assert not upward


def _rust_imports(module: str) -> set[str]:
    folder = CORE / "src" / module
    files = folder.rglob("*.rs") if folder.is_dir() else [folder.with_suffix(".rs")]
    return {name for file in files for name in re.findall(r"crate::(\w+)", file.read_text(encoding="utf-8"))}


@pytest.mark.parametrize(
    "module", sorted(path.stem for path in (CORE / "src").iterdir() if path.stem in WORDS | PURE)
)
def test_pure_steps_know_nothing_that_waits(module: str) -> None:
    assert _rust_imports(module) <= WORDS | PURE


@pytest.mark.parametrize("module", sorted(PURE - {"batch"}))
def test_pure_steps_take_time_as_an_argument(module: str) -> None:
    text = (CORE / "src" / f"{module}.rs").read_text(encoding="utf-8")
    assert not re.search(r"\b(Mutex|Condvar|Instant|SystemTime|std::thread|unsafe)\b", text)


@pytest.mark.parametrize("module", sorted(LOCKED))
def test_the_state_knows_nothing_that_acts(module: str) -> None:
    assert _rust_imports(module) <= WORDS | PURE | LOCKED


def _dependencies(crate: str) -> set[str]:
    with (ROOT / "crates" / crate / "Cargo.toml").open("rb") as file:
        manifest = tomllib.load(file)
    tables = [manifest, *manifest.get("target", {}).values()]
    return {name for table in tables for name in table.get("dependencies", {})}


def test_crates_stand_on_each_other_in_order() -> None:
    assert not _dependencies("core") & {"headway-engines", "headway-python", "pyo3", "numpy", "libloading"}
    assert not _dependencies("engines") & {"headway-python", "pyo3", "numpy"}
    assert "#![forbid(unsafe_code)]" in (CORE / "src" / "lib.rs").read_text(encoding="utf-8")


def test_no_cell_of_pyo3() -> None:
    # They lock first and wait for the GIL then: a fork in between leaves the child's cell locked for ever.
    for file in (ROOT / "crates" / "python" / "src").rglob("*.rs"):
        found = re.findall(r"PyOnceLock|\bintern!|pyo3::import_exception", file.read_text(encoding="utf-8"))
        assert not found, f"{file}: use `once::cached`"


def test_import_headway_leaves_the_onnxruntime_package_alone() -> None:
    program = "import sys, headway; sys.exit('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


#: Each costs a good part of the 15 ms that `import headway` may add to numpy's; they come in on first use.
LATE = {
    "asyncio",
    "concurrent.futures",
    "dataclasses",
    "inspect",
    "headway.ort",
    "headway.run",
    "importlib.metadata",
    "logging",
    "pathlib",
    "threading",
}


def test_import_headway_leaves_slow_modules_for_later() -> None:
    # What numpy loads is not ours to save.
    program = (
        "import sys, numpy; before = set(sys.modules); import headway; print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "headway.session" in loaded
    assert not LATE & loaded
