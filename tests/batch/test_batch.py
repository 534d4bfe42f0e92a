"""What the package itself exports."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tutuclient.batch
from tutuclient.batch import rows


def test_rows_are_answered_from_the_package() -> None:
    assert tutuclient.batch.answer_rows is rows.answer_rows
    assert tutuclient.batch.AnsweredRows is rows.AnsweredRows
    with pytest.raises(AttributeError, match="no attribute 'answers'"):
        _ = tutuclient.batch.answers


def test_others_do_not_pay_for_it() -> None:
    code = "import sys, tutuclient; tutuclient.Budget; sys.exit('tutuclient.batch.rows' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603  (our own code)
