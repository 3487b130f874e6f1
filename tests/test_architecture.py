"""What may import what. Imports are read from the sources, so none hides in a function."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "imgsync"

IMPORT_NAMES = {"pyyaml": "yaml"}
IO_MODULES = {
    "asyncio",
    "fcntl",
    "http",
    "mmap",
    "multiprocessing",
    "os",
    "pathlib",
    "select",
    "selectors",
    "shutil",
    "signal",
    "socket",
    "socketserver",
    "ssl",
    "subprocess",
    "tarfile",
    "tempfile",
    "threading",
    "urllib",
    "zipfile",
}


@dataclass(frozen=True)
class Import:
    """One module that a file imports; ``at_runtime`` is false for what only types need."""

    file: str
    line: int
    module: str
    at_runtime: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"

    def is_of(self, *packages: str) -> bool:
        """Whether it is one of these, or below one."""
        return any(
            self.module == package or self.module.startswith(f"{package}.") for package in packages
        )


def _dependencies() -> set[str]:
    """What may be imported of what ``pyproject.toml`` declares."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[<>=!~\[; ]", line)[0].lower() for line in project["dependencies"]}
    return {IMPORT_NAMES.get(name, name) for name in names}


def _files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _imports(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for_types.update(inner for child in node.body for inner in ast.walk(child))
    name = str(path.relative_to(ROOT))
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: a relative import"
            modules = [node.module or ""]
        for module in modules:
            yield Import(name, getattr(node, "lineno", 0), module, node not in for_types)


ALL = [found for path in _files() for found in _imports(path)]


def _within(*folders: str) -> list[Import]:
    """The imports of files in these places, ``model/`` or ``walk.py``."""
    return [item for item in ALL if item.file.startswith(tuple(f"imgsync/{f}" for f in folders))]


def _outside(*folders: str) -> list[Import]:
    inside = set(_within(*folders))
    return [item for item in ALL if item not in inside]


def _none(found: list[Import]) -> None:
    assert not found, "\n".join(map(str, found))


def test_there_is_something_to_look_at() -> None:
    assert len(_files()) > 40
    assert _within("model/")
    assert any(not item.at_runtime for item in ALL)


# --- model ------------------------------------------------------------------------------------


def test_no_two_files_need_each_other() -> None:
    """Not even for types; the nouns and the errors that name them are one matter."""
    graph: dict[str, set[str]] = {}
    for item in ALL:
        if not item.is_of("imgsync.errors"):
            name = item.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            graph.setdefault(name, set()).add(item.module)
    TopologicalSorter(graph).prepare()


def test_the_model_needs_the_standard_library_only_and_does_no_io() -> None:
    _none(
        [
            item
            for item in _within("model/")
            if item.at_runtime
            and not item.is_of("imgsync.model", "imgsync.errors")
            and (
                item.module.partition(".")[0] not in sys.stdlib_module_names
                or item.module.partition(".")[0] in IO_MODULES
            )
        ]
    )


def test_the_model_opens_nothing_and_prints_nothing() -> None:
    for path in sorted((PACKAGE / "model").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"open", "print", "input"}, f"{path}:{node.lineno}"


# --- arrows -----------------------------------------------------------------------------------


def test_the_model_knows_nobody() -> None:
    _none([i for i in _within("model/") if i.is_of("imgsync") and not _is_base(i)])


def _is_base(item: Import) -> bool:
    return item.is_of("imgsync.model", "imgsync.errors")


def test_errors_and_events_know_the_model_only() -> None:
    _none(
        [
            item
            for item in _within("errors.py", "events.py")
            if item.is_of("imgsync") and not _is_base(item)
        ]
    )


def test_content_knows_the_model_only() -> None:
    _none([i for i in _within("content.py") if i.is_of("imgsync") and not _is_base(i)])


def test_the_engine_knows_model_content_and_the_protocols() -> None:
    known = (
        "imgsync.content",
        "imgsync.documents",
        "imgsync.events",
        "imgsync.mover",
        "imgsync.plan",
        "imgsync.walk",
    )
    files = ("walk.py", "plan.py", "transfer.py", "mover.py", "documents.py", "platforms.py")
    _none(
        [
            item
            for item in _within(*files)
            if item.is_of("imgsync")
            and not _is_base(item)
            and not item.is_of(*known)
            and item.module != "imgsync.stores"
        ]
    )


def test_stores_do_not_know_the_engine_nor_the_command_line() -> None:
    _none(
        [
            item
            for item in _within("stores/")
            if item.at_runtime
            and item.is_of("imgsync.plan", "imgsync.transfer", "imgsync.mover", "imgsync.cli")
        ]
    )


def test_nobody_knows_the_command_line() -> None:
    _none([i for i in _outside("cli/", "__main__.py") if i.is_of("imgsync.cli")])


# --- dependencies -----------------------------------------------------------------------------


def test_dependencies_are_those_that_are_declared() -> None:
    known = {*sys.stdlib_module_names, *_dependencies(), "imgsync"}
    _none([i for i in ALL if i.at_runtime and i.module.partition(".")[0] not in known])


@pytest.mark.parametrize(
    ("packages", "places"),
    [
        (("click",), ("cli/",)),
        (("tqdm",), ("cli/progress.py", "cli/fleet_progress.py")),
        (("requests", "urllib3"), ("stores/registry/",)),
    ],
)
def test_a_dependency_is_used_in_one_place(
    packages: tuple[str, ...], places: tuple[str, ...]
) -> None:
    assert any(item.is_of(*packages) for item in _within(*places))
    _none([item for item in _outside(*places) if item.is_of(*packages)])


def test_zstandard_is_used_below_the_command_line() -> None:
    _none([i for i in _within("cli/", "model/") if i.is_of("zstandard")])


def test_programs_are_started_in_few_places() -> None:
    places = (
        "stores/containerd/",  # ctr
        "stores/docker_daemon.py",  # docker save
        "stores/registry/credential_helper.py",  # docker-credential-*
        "signing/ssh.py",  # ssh-keygen
        "parity/par2.py",  # par2
        "standalone/build.py",  # PyInstaller, staticx
        "fleet/",  # ssh, and ansible-inventory
    )
    _none([i for i in _outside(*places) if i.is_of("subprocess") and i.at_runtime])


def test_only_one_folder_says_ctr() -> None:
    """The words ``ctr images …`` are put together in `imgsync.stores.containerd` alone."""
    for path in _files():
        if path.is_relative_to(PACKAGE / "stores" / "containerd"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.List, ast.Tuple)):
                words = [e.value for e in node.elts if isinstance(e, ast.Constant)]
                is_command = len(words) > 1 and words[0] == "ctr"
                assert not is_command, f"{path}:{node.lineno}"


def test_only_the_command_line_prints_or_exits() -> None:
    for path in _files():
        if path.is_relative_to(PACKAGE / "cli"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                call = ast.unparse(node.func)
                assert call not in {"print", "sys.exit", "exit", "quit"}, f"{path}:{node.lineno}"


# --- habits -----------------------------------------------------------------------------------


def test_every_module_says_what_it_is_for() -> None:
    for path in _files():
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert text, f"{path} has no docstring"


def test_files_stay_small_enough_to_be_read() -> None:
    for path in _files():
        n_lines = sum(1 for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
        assert n_lines <= 400, f"{path} has {n_lines} lines"
