"""The house: who may import whom, which library has its rooms where, a test file for each room."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

import tutuclient

PACKAGE = Path(tutuclient.__file__).parent
TESTS = Path(__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
NAMES = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__") for path in MODULES}

# From the ground up; a room imports from its own floor and those below it, annotations included.
FLOORS = (
    {"errors", "_meta", "_unset", "_logger"},
    {"media", "_threads", "_descriptors", "_notebook"},
    {"types"},
    {"settings", "retry", "limits", "pace", "chooser", "diagnostics", "docstrings", "tools"},
    {"wire"},
    {"transport"},
    {"downloads", "streams"},
    {"finding"},
    {"resources"},
    {"batch"},
    {"client"},
    {"compat", "integrations", "ui"},
    {"cli", "__main__"},
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# The relay stands beside the client: it may know what is said, never who says it.
BESIDE = {"testing": {"errors", "types", "media"}, "standin": {"testing"}}
# Of media the relay may know only what bytes are, so that it serves what it hosts as the client knows it.
FOR_ALL = "tutuclient.media.kinds"
# What points up all the same, and why.
UPWARDS: dict[tuple[str, str], str] = {
    ("errors", "types"): "for checkers alone: .partial and .completion are a ChatCompletion, and tests/typing says so",
    ("testing.__init__", "standin"): "the public door: serve() starts the server with the stand-in's endpoints",
    ("testing.plugin", "client"): "the fixture tutu_client, which imports it when a test asks for one",
    ("testing.plugin", "settings"): "the same: its pauses are short",
    ("testing.cassettes.recorder", "settings"): "it stands in the client's place: it goes through the same proxies",
    ("testing.cassettes.recorder", "transport"): "the same: SOCKS is a connector, and what says that nothing was sent",
}
MOST_LINES = 700
LONG_FILES: dict[str, str] = {}
MOST_LINES_OF_A_FUNCTION = 60
LONG_FUNCTIONS: dict[str, str] = {}

STRUCTS_IN = {"media", "types", "tools", "wire", "settings", "streams", "resources", "compat", "batch"}
LIBRARIES = {
    "aiohttp": {"transport", "testing", "downloads", "standin", "integrations", "ui"},
    "yarl": {"transport", "downloads"},
    "msgspec": STRUCTS_IN | {"integrations", "ui"},
    "anyio": {"media", "downloads", "resources", "_threads", "integrations"},
    "opentelemetry": {"integrations"},
    "trustme": {"testing"},
    "aiohttp_socks": {"transport"},
    "typer": {"cli"},
    "rich": {"cli"},
}


def room_of(path: Path) -> str:
    inner = path.relative_to(PACKAGE)
    return inner.parts[0] if len(inner.parts) > 1 else inner.stem


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE).with_suffix("")).replace("/", ".")


@functools.cache
def imports(path: Path, *, annotations: bool = True) -> frozenset[str]:
    """All modules that ``path`` imports: when loaded, when run and for annotations unless told not to."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not annotations
        for inner in node.body
        for child in ast.walk(inner)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in NAMES or node.module == "tutuclient" else node.module for name in whole}
    return frozenset(found)


def rooms(path: Path) -> set[str]:
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("tutuclient.")}
    return ours - {room_of(path), "__version__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down_annotations_included(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    if room in BESIDE:
        assert {other for other in rooms(path) if (name_of(path), other) not in UPWARDS} <= BESIDE[room]
        assert {name for name in imports(path) if name.startswith("tutuclient.media")} <= {FOR_ALL}
        return
    for other in rooms(path):
        if (room == "cli" and other in BESIDE) or (name_of(path), other) in UPWARDS:
            continue
        assert FLOOR_OF[other] <= FLOOR_OF[room], f"{name_of(path)} imports {other}, which stands above it"


def test_what_stands_open_to_all_knows_nothing_of_ours() -> None:
    path = PACKAGE.parent / f"{FOR_ALL.replace('.', '/')}.py"
    assert not [name for name in imports(path) if name.startswith("tutuclient")]


def circles(edges: dict[str, set[str]]) -> list[str]:
    """Return each circle of imports found, as ``a → b → a``."""
    done: set[str] = set()
    found: list[str] = []

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            found.append(" → ".join((*trail[trail.index(name) :], name)))
        elif name not in done:
            for other in sorted(edges.get(name, ())):
                visit(other, (*trail, name))
            done.add(name)

    for name in sorted(edges):
        visit(name, ())
    return found


def test_no_module_imports_itself_by_way_of_others_annotations_included() -> None:
    edges: dict[str, set[str]] = {}
    for path in MODULES:
        if path == PACKAGE / "__init__.py":  # The front door names everything, and knows nothing.
            continue
        name = f"tutuclient.{name_of(path)}".removesuffix(".__init__")
        others = set(imports(path)) & NAMES - {name, "tutuclient"}
        edges[name] = {other for other in others if (name_of(path), other.split(".")[1]) not in UPWARDS}
    assert circles(edges) == []


def test_rooms_import_each_other_in_no_circle() -> None:
    edges: dict[str, set[str]] = {}
    for path in MODULES:
        allowed = {other for name, other in UPWARDS if name == name_of(path)}
        edges.setdefault(room_of(path), set()).update(rooms(path) - allowed)
    assert circles(edges) == []


def test_what_points_up_all_the_same_does_so() -> None:
    assert {(name_of(path), room) for path in MODULES for room in rooms(path)} >= set(UPWARDS)


def test_no_file_is_too_long_to_be_read_at_once() -> None:
    long = {name_of(path) for path in MODULES if len(path.read_text(encoding="utf-8").splitlines()) > MOST_LINES}
    assert long == set(LONG_FILES)


def test_no_function_is_too_long_to_be_read_at_once() -> None:
    long = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > MOST_LINES_OF_A_FUNCTION:
                    long.add(f"{name_of(path)}.{node.name}")
    assert long == set(LONG_FUNCTIONS)


@pytest.mark.parametrize("library", LIBRARIES)
def test_each_foreign_library_has_its_rooms(library: str) -> None:
    knowing = {
        room_of(path)
        for path in MODULES
        if any(name.split(".")[0] == library for name in imports(path, annotations=False))
    }
    assert knowing == LIBRARIES[library]


# First words that name no action of the field, in any function's docstring; CONTRIBUTING lists those that do.
VAGUE_WORDS = {"Ask", "Do", "Give", "Go", "Have", "Let", "Look", "Make", "Play", "Put", "Say", "See", "Take", "Tell"}
BENCHMARKS = sorted((TESTS.parent / "benchmarks").rglob("*.py"))


@pytest.mark.parametrize("paths", [MODULES, BENCHMARKS], ids=["package", "benchmarks"])
def test_docstrings_begin_with_what_a_function_does(paths: list[Path]) -> None:
    vague = []
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = (ast.get_docstring(node) or "Return").split()[0].strip(",.:;")
                if first in VAGUE_WORDS:
                    vague.append(f"{path.name}:{node.lineno} {node.name}: {first}")
    assert paths
    assert vague == []


# Tested where their callers are: the transport and the doors of the relay by all files of their rooms, what a resource
# sends by each endpoint, the struct of balances with its resource, and openai's names in tests/test_compat.py.
WITHOUT_TESTS = {
    # Through the run, once client.map is its door.
    "transport/__init__.py",
    "testing/__init__.py",
    "resources/resource.py",
    "types/account.py",
    "compat/types/audio.py",
    "compat/types/chat.py",
}


def is_tested(path: Path) -> bool:
    """Return whether a module has its test file, or a package's ``__init__`` does nothing but export names."""
    inner = path.relative_to(PACKAGE)
    if path.name != "__init__.py":
        return (TESTS / inner.parent / f"test_{path.stem.lstrip('_')}.py").exists()
    body = ast.parse(path.read_text(encoding="utf-8")).body
    name = f"test_{inner.parent.name}.py"
    return (
        not any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in body)
        or (TESTS / inner.parent / name).exists()
        or (TESTS / inner.parent.parent / name).exists()
    )


def test_every_room_has_its_tests() -> None:
    without = {str(path.relative_to(PACKAGE)) for path in MODULES if not is_tested(path)}
    assert without - {"__init__.py", "__main__.py"} == WITHOUT_TESTS
