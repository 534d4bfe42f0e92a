"""``import tutuclient``: every public name is there, costs nothing until it is used, and outlives its module."""

from __future__ import annotations

import copy
import inspect
import os
import pickle
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pydantic
import pytest

import tutuclient
from tutuclient import ChatCompletion, RateLimitError, RetryPolicy, Timeout, TutuClient, TutuError, user
from tutuclient.types.base import Answer

VALUES: dict[str, Any] = {name: getattr(tutuclient, name) for name in tutuclient.__all__}
CLASSES = {name: value for name, value in VALUES.items() if inspect.isclass(value) and name != "OpenAIError"}
FUNCTIONS = {name: value for name, value in VALUES.items() if inspect.isfunction(value)}
STRUCTS = {name: cls for name, cls in CLASSES.items() if issubclass(cls, msgspec.Struct)}


def python(code: str, data: bytes = b"") -> str:
    """Run code in a new process, and return what it prints."""
    done = subprocess.run(  # noqa: S603  (our own code)
        [sys.executable, "-c", code], input=data, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_every_public_name_is_there() -> None:
    assert sorted(tutuclient.__all__) == list(tutuclient.__all__)
    assert None not in VALUES.values()
    assert tutuclient.OpenAIError is TutuError
    assert dir(tutuclient) == tutuclient.__all__
    with pytest.raises(AttributeError, match="has no attribute 'nothing_of_the_kind'"):
        _ = tutuclient.nothing_of_the_kind


def test_importing_the_package_imports_no_module_of_it() -> None:
    code = "import sys, tutuclient; print([name for name in sys.modules if name.startswith('tutuclient.')])"
    assert python(code) == "[]\n"


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*CLASSES, *FUNCTIONS])
def test_a_class_or_function_is_called_by_its_public_name(name: str) -> None:
    value = VALUES[name]
    assert (value.__module__, value.__qualname__) == ("tutuclient", name)
    if name in CLASSES:
        assert repr(value) == f"<class 'tutuclient.{name}'>"


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("from tutuclient.errors import RateLimitError as x", "RateLimitError"),
        ("from tutuclient.compat import RateLimitError as x", "RateLimitError"),
        ("from tutuclient.types.chat import ChatCompletion as x", "ChatCompletion"),
        ("from tutuclient.settings import Timeout as x", "Timeout"),
        ("import tutuclient.media.parts as m; x = m.image", "image"),
        ("import tutuclient.media.upload as m; from tutuclient.errors import MediaError as x", "MediaError"),
        ("import tutuclient.cli; from tutuclient.streams.audio import Sound as x", "Sound"),
    ],
)
def test_so_it_is_by_whatever_way_it_is_imported(statement: str, name: str) -> None:
    assert python(f"{statement}; print(x.__module__, x.__qualname__)") == f"tutuclient {name}\n"


def test_a_traceback_shows_the_public_name() -> None:
    assert traceback.format_exception_only(TutuError("too fast")) == ["tutuclient.TutuError: too fast\n"]
    code = "from tutuclient.errors import RequestWarning; raise RequestWarning('odd')"
    done = subprocess.run(  # noqa: S603  (our own code)
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stderr.endswith("\ntutuclient.RequestWarning: odd\n")


def test_a_filter_of_warnings_takes_the_public_name() -> None:
    code = "import warnings, tutuclient; print(warnings.filters[0][2].__name__)"
    done = subprocess.run(  # noqa: S603  (our own code)
        [sys.executable, "-W", "error::tutuclient.RequestWarning", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        # Python reads -W before ``site`` has added what is installed, so only what PYTHONPATH names is found.
        env={**os.environ, "PYTHONPATH": str(Path(tutuclient.__file__).parents[1])},
    )
    assert (done.stdout, done.stderr) == ("RequestWarning\n", "")


# --- types -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLASSES)
def test_annotations_are_found_where_the_class_is_defined(name: str) -> None:
    hints = get_type_hints(CLASSES[name], include_extras=True)
    for field, hint in vars(CLASSES[name]).get("__annotations__", {}).items():
        module = sys.modules[hint.__forward_module__]
        assert vars(module)[name] is CLASSES[name]
        found = eval(hint.__forward_arg__, vars(module))  # noqa: S307  (our own annotations)
        assert hints[field] == (type(None) if found is None else found)


@pytest.mark.parametrize("name", STRUCTS)
def test_msgspec_knows_a_struct_by_its_annotations(name: str) -> None:
    assert isinstance(msgspec.inspect.type_info(STRUCTS[name]), msgspec.inspect.StructType)
    if issubclass(STRUCTS[name], Answer):
        assert isinstance(msgspec.json.decode(b"{}", type=STRUCTS[name]), STRUCTS[name])


@pytest.mark.parametrize("name", [name for name, cls in STRUCTS.items() if issubclass(cls, Answer)])
def test_pydantic_knows_an_answer_by_its_annotations(name: str) -> None:
    adapter = pydantic.TypeAdapter(STRUCTS[name])
    assert adapter.json_schema()
    assert isinstance(adapter.validate_json("{}"), STRUCTS[name])


@pytest.mark.parametrize("value", [user, TutuClient.analyze, TutuClient.__init__], ids=lambda value: value.__qualname__)
def test_the_source_of_functions_and_methods_is_found(value: Any) -> None:
    assert f"def {value.__name__}(" in inspect.getsource(value)


# --- pickles ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*CLASSES, *FUNCTIONS])
def test_a_pickle_names_it_by_its_public_name(name: str) -> None:
    assert pickle.dumps(VALUES[name], 0) == b"ctutuclient\n" + name.encode() + b"\np0\n."


def test_pickles_are_read_by_another_process() -> None:
    made: list[Any] = [
        *CLASSES.values(),
        *FUNCTIONS.values(),
        Timeout(5, connect=1),
        RetryPolicy(max_retries=7),
        RateLimitError("slow down"),
        TutuClient("sk-x", "https://relay.example"),
        msgspec.json.decode(b'{"id": "1", "choices": [{"message": {"content": "hi"}}]}', type=ChatCompletion),
    ]
    code = """
import pickle, sys
values = pickle.load(sys.stdin.buffer)
print([value.__name__ for value in values[:-5]])
print(values[-5:-3], values[-3].message, values[-2].base_url, values[-1].text)
"""
    assert python(code, pickle.dumps(made)).splitlines() == [
        str([value.__name__ for value in made[:-5]]),
        f"{made[-5:-3]} slow down https://relay.example/v1 hi",
    ]


@pytest.mark.parametrize("name", [name for name, cls in STRUCTS.items() if issubclass(cls, Answer)])
def test_copies_are_equal(name: str) -> None:
    made = msgspec.json.decode(b"{}", type=STRUCTS[name])
    for copied in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):  # noqa: S301  (our own bytes)
        assert type(copied) is STRUCTS[name]
        assert copied == made
