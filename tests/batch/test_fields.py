"""The keywords of ``map``: shown by its signature, and light to import."""

from __future__ import annotations

import inspect
import subprocess
import sys

from tutuclient import TutuClient
from tutuclient.batch.fields import MapFields


def test_the_signature_of_map_shows_them_all() -> None:
    parameters = inspect.signature(TutuClient.map).parameters
    assert set(MapFields.__annotations__) < set(parameters)
    assert list(parameters)[:3] == ["self", "items", "prompt"]
    assert list(parameters)[-1] == "options", "relays have fields of their own"


def test_a_client_loads_nothing_of_a_run_for_them() -> None:
    code = "import sys; from tutuclient import TutuClient; print(*(n for n in sys.modules if 'tutuclient.batch' in n))"
    loaded = subprocess.run(  # noqa: S603  (ourselves)
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == ["tutuclient.batch", "tutuclient.batch.fields"]
