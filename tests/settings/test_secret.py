"""What ``tutuclient.settings.secret`` promises: text that does not show itself."""

from __future__ import annotations

import json

from tutuclient.settings.secret import Secret

KEY = "sk-0123456789abcdefSECRET"


def test_a_secret_is_sent_as_it_is() -> None:
    assert str(Secret(KEY)) == f"{Secret(KEY)}" == KEY
    assert json.dumps(Secret(KEY)) == f'"{KEY}"'
    assert type(str(Secret(KEY))) is str
