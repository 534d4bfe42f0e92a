"""The door of the integrations: they are found after ``import tutuclient`` alone, and import no framework by that."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import tutuclient


def test_they_are_found_and_import_no_framework() -> None:
    code = (
        "import sys, tutuclient\n"
        "for name in ('ray', 'web'):\n"
        "    assert getattr(tutuclient.integrations, name).__doc__\n"
        "print({'ray', 'starlette', 'fastapi', 'pyarrow'} & {*sys.modules})\n"
    )
    done = subprocess.run(  # noqa: S603  (our own code)
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_there_are_no_others() -> None:
    package: Any = tutuclient
    with pytest.raises(AttributeError, match=r"'tutuclient\.integrations' has no attribute 'django'"):
        _ = package.integrations.django
    with pytest.raises(AttributeError, match=r"'tutuclient\.batch' has no attribute 'columns'"):
        _ = package.batch.columns
