import pytest

from tutuclient.testing import Server, raw_server


async def test_says_what_is_wrong_with_a_name_or_an_option(server: Server) -> None:
    with pytest.raises(ValueError, match="no fault 'nope'; there are "):
        server.faults("nope")
    with pytest.raises(ValueError, match="no option 'often'; its options: after, pause"):
        server.faults("reset_mid_stream", often=3)
    with pytest.raises(ValueError, match=r"play it with raw_server\('refused'\)"):
        server.faults("refused")
    with pytest.raises(ValueError, match=r"queue it with server.faults\('html'\)"):
        async with raw_server("html"):
            pass
