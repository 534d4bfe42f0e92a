"""Endpoints of web apps that answer from a relay: calls that stop when the browser leaves.

``until_gone(request)`` cancels a block when its browser leaves. For Starlette, FastAPI and aiohttp.web; none of them is
imported before a request of it comes.
"""

from tutuclient.integrations.web.gone import ClientGoneError, until_gone

__all__ = ["ClientGoneError", "until_gone"]
