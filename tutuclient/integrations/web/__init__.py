"""Endpoints of web apps that answer from a relay: calls that stop when the browser leaves, and token streams.

``until_gone(request)`` cancels a block when its browser leaves; ``sse(stream)`` answers with a stream of tokens as
server-sent events, and ``events(stream)`` gives the same events to any other framework. For Starlette, FastAPI and
aiohttp.web; none of them is imported before a request of it comes.
"""

from tutuclient.integrations.web.gone import ClientGoneError, until_gone
from tutuclient.integrations.web.reading import Events, events
from tutuclient.integrations.web.responses import sse

__all__ = ["ClientGoneError", "Events", "events", "sse", "until_gone"]
