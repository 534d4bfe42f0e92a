import ssl

import aiohttp
import pytest

from tutuclient.testing import self_signed, serve


async def test_is_refused_until_it_is_trusted(http: aiohttp.ClientSession) -> None:
    context, pem = self_signed()
    async with serve(ssl_context=context) as server:
        with pytest.raises(aiohttp.ClientConnectorCertificateError, match="self-signed"):
            await http.get(f"{server.base_url}/models")
        trusting = ssl.create_default_context(cadata=pem)
        async with http.get(f"{server.base_url}/models", ssl=trusting) as answer:
            assert answer.status == 200


def test_no_two_are_alike() -> None:
    assert self_signed()[1] != self_signed()[1]
