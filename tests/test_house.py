"""The house: who may import whom, which library has its rooms where, a test file for each room, the front door."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tutuclient

PACKAGE = Path(tutuclient.__file__).parent
TESTS = Path(__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))

# From the ground up; a room imports from its own floor and those below it.
FLOORS = (
    {"errors", "types", "sse"},
    {"endings", "files", "media", "tools", "wire", "limits", "retry", "settings"},
    {"transport"},
    {"stream", "events", "sound", "generated"},
    {"resources"},
    {"client"},
    {"compat"},
    {"cli", "__main__"},
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# The relay stands beside the client: it may know what is said, never who says it.
BESIDE = {"testing": {"errors", "types", "testing"}}

LIBRARIES = {
    "aiohttp": {"transport", "testing"},
    "yarl": {"transport"},
    "msgspec": {"types", "tools", "wire", "settings", "client", "stream", "resources", "compat"},
    "anyio": {"transport", "limits", "media", "files", "generated", "sound", "resources"},
    "typer": {"cli"},
    "rich": {"cli"},
}


def room_of(path: Path) -> str:
    inner = path.relative_to(PACKAGE)
    return inner.parts[0] if len(inner.parts) > 1 else inner.stem


def imports(path: Path) -> set[str]:
    """All modules that importing or running ``path`` may import; those for the type checker only left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in node.body
        for child in ast.walk(inner)
    }
    found = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names}
                if node.module == "tutuclient"
                else {node.module}
            )
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    room = room_of(path)
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("tutuclient.")} - {"__version__"}
    if room == "__init__":
        return
    if room in BESIDE:
        assert ours <= BESIDE[room]
        return
    for other in ours - {room}:
        if room == "cli" and other == "testing":
            continue
        assert FLOOR_OF[other] <= FLOOR_OF[room], f"{room} imports {other}, which stands above it"


def test_rooms_on_one_floor_import_each_other_in_no_circle() -> None:
    edges: dict[str, set[str]] = {}
    for path in MODULES:
        ours = {name.split(".")[1] for name in imports(path) if name.startswith("tutuclient.")}
        edges.setdefault(room_of(path), set()).update(ours - {room_of(path), "__version__"})
    seen: list[str] = []

    def visit(room: str, trail: tuple[str, ...]) -> None:
        assert room not in trail, f"a circle: {' → '.join((*trail, room))}"
        if room not in seen:
            for other in edges.get(room, ()):
                visit(other, (*trail, room))
            seen.append(room)

    for room in edges:
        visit(room, ())


@pytest.mark.parametrize("library", LIBRARIES)
def test_each_foreign_library_has_its_rooms(library: str) -> None:
    knowing = {room_of(path) for path in MODULES if any(name.split(".")[0] == library for name in imports(path))}
    assert knowing <= LIBRARIES[library]


def test_every_room_has_its_tests() -> None:
    without = []
    for path in MODULES:
        inner = path.relative_to(PACKAGE)
        name = inner.parent.name if inner.name == "__init__.py" else inner.stem
        parent = inner.parent.parent if inner.name == "__init__.py" else inner.parent
        if name and not name.startswith("__") and not (TESTS / parent / f"test_{name}.py").exists():
            without.append(str(inner))
    # Tested through the door they stand behind: tests/transport/test_attempts.py and tests/resources/test_chat.py;
    # a door itself beside its rooms, as in tests/cli/test_cli.py.
    behind = {"transport/__init__.py", "transport/call.py", "transport/pool.py", "transport/progress.py"}
    behind |= {"transport/reply.py", "resources/__init__.py", "resources/resource.py", "resources/models.py"}
    behind |= {"generated/__init__.py", "wire/__init__.py", "types/__init__.py", "testing/__init__.py"}
    behind |= {"cli/__init__.py", "types/account.py"}
    # Names of other rooms' structs: tests/test_compat.py.
    behind |= {"compat/types/__init__.py", "compat/types/audio.py", "compat/types/chat.py"}
    assert set(without) <= behind


def test_the_front_door_opens_every_name() -> None:
    assert sorted(tutuclient.__all__) == list(tutuclient.__all__)
    for name in tutuclient.__all__:
        assert getattr(tutuclient, name) is not None
    assert dir(tutuclient) == tutuclient.__all__
    with pytest.raises(AttributeError):
        _ = tutuclient.nothing_of_the_kind


def test_importing_the_front_door_opens_no_room() -> None:
    code = "import sys, tutuclient; print([name for name in sys.modules if name.startswith('tutuclient.')])"
    done = subprocess.run(  # noqa: S603  (our own code)
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
