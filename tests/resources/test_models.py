"""The models of a relay: what is asked for one is text, and leads nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tutuclient import ConfigError, TutuClient

if TYPE_CHECKING:
    from tutuclient.testing import Server


@pytest.mark.parametrize("model", [None, 5, b"m"])
async def test_the_id_of_a_model_is_text(server: Server, model: Any) -> None:
    async with TutuClient("any", server.base_url) as client:
        with pytest.raises(ConfigError, match="models.retrieve needs the id of a model, and got"):
            await client.models.retrieve(model)
    assert not server.requests


@pytest.mark.parametrize("model", ["a\ud800b", "\udfff", "../chat/completions"])
async def test_the_id_of_a_model_that_cannot_be_sent_is_refused(model: str, client: TutuClient) -> None:
    with pytest.raises(ConfigError):
        await client.models.retrieve(model)
