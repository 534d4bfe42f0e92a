"""The stand-in's endpoints: each reads a request, checks it as a relay does, and answers.

``answer`` routes to them. What is in an image, a recording or a prompt is for the modules beside this package.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import hdrs, web

from tutuclient.standin.endpoints import audio, chat, images, panel, texts
from tutuclient.testing.account import Account
from tutuclient.testing.exchange import Exchange

Endpoint = Callable[[Exchange], Awaitable[web.StreamResponse]]

_NO_MODEL = "未指定模型名称，模型名称不能为空"

_JSON: dict[str, Endpoint] = {
    "/v1/chat/completions": chat.answer,
    "/v1/completions": texts.complete,
    "/v1/embeddings": texts.embed,
    "/v1/images/generations": images.generate,
    "/v1/audio/speech": audio.speak,
}
_FORMS: dict[str, Endpoint] = {
    "/v1/images/edits": images.edit,
    "/v1/images/variations": images.vary,
    "/v1/audio/transcriptions": partial(audio.write, task="transcribe"),
    "/v1/audio/translations": partial(audio.write, task="translate"),
}
_OPEN: dict[str, Endpoint] = {
    "/v1/models": panel.models,
    "/v1/dashboard/billing/subscription": panel.billing(Account.subscription),
    "/v1/dashboard/billing/usage": panel.billing(Account.usage),
    "/dashboard/billing/subscription": panel.billing(Account.subscription),
    "/dashboard/billing/usage": panel.billing(Account.usage),
    "/api/usage/token": panel.billing(Account.token_usage),
    "/api/status": panel.status,
    "/api/pricing": panel.pricing,
}
# The model that new-api takes when a request names none.
_USUAL_MODELS = {
    "/v1/images/generations": "dall-e-2",
    "/v1/images/edits": "dall-e-2",
    "/v1/images/variations": "dall-e-2",
    "/v1/audio/speech": "tts-1",
    "/v1/audio/transcriptions": "whisper-1",
    "/v1/audio/translations": "whisper-1",
}

_PATHS = frozenset({*_JSON, *_FORMS, *_OPEN})
_INDEX_PAGE = b"""<!doctype html>
<html lang="zh"><head><meta charset="utf-8"><title>New API</title></head>
<body><noscript>You need to enable JavaScript to run this app.</noscript><div id="root"></div></body></html>
"""


async def answer(exchange: Exchange) -> web.StreamResponse:
    """Answer a request as new-api routes it: an endpoint, a redirect, its index page outside ``/v1``, or 404."""
    method, path = exchange.request.method, exchange.request.path
    if (endpoint := _endpoint(method, path)) is not None:
        return await endpoint(exchange)
    if (bare := path.rstrip("/")) in _PATHS and bare != path:
        # gin, new-api's router, redirects a slash too many (RedirectTrailingSlash): 301, or 307 to keep a body.
        status = 301 if method == "GET" else 307
        return exchange.respond(b"", status=status, headers={hdrs.LOCATION: bare})
    # A base URL without /v1 gets the panel's index page, with status 200 (WIRE.md 3.4).
    if not f"{path}/".startswith("/v1/"):
        return exchange.respond(_INDEX_PAGE, content_type="text/html; charset=utf-8")
    return exchange.error(404, f"Invalid URL ({method} {path})", type="invalid_request_error", code="")


def _endpoint(method: str, path: str) -> Endpoint | None:
    # The path is decoded here; in new-api an id with a slash is no model's path (WIRE.md 1.10).
    if method == "GET" and path.removeprefix("/v1/models/") not in {path, ""}:
        return panel.model
    if method == "GET":
        return _OPEN.get(path)
    return _posted if method == "POST" and (path in _JSON or path in _FORMS) else None


async def _posted(exchange: Exchange) -> web.StreamResponse:
    """Check what new-api checks before it looks for a channel: kind of body, model, balance."""
    path = exchange.request.path
    kind = exchange.request.headers.get(hdrs.CONTENT_TYPE, "")
    # As new-api looks at it: JSON under any other label is not read, and then the model seems to be missing (WIRE.md
    # 1).
    if kind.startswith("application/json") and (path in _JSON or path.startswith("/v1/images/")):
        if exchange.broken_json is not None:
            return exchange.error(400, exchange.broken_json, code="invalid_request")
        model = exchange.payload.get("model")
    elif path in _FORMS:
        if exchange.broken_form is not None:
            return exchange.error(400, exchange.broken_form, code="invalid_request")
        model = exchange.form.fields.get("model")
    else:
        return exchange.error(400, _NO_MODEL, code="invalid_request")
    if not (model or _USUAL_MODELS.get(path)):
        return exchange.error(400, _NO_MODEL, code="invalid_request")
    # new-api charges before it asks an upstream, so this comes before all that is wrong with the rest (WIRE.md 4.3).
    if exchange.stage.account.exhausted:
        left = f"用户额度不足，剩余额度: ＄{exchange.stage.account.balance:.6f}"
        return exchange.error(403, left, code="insufficient_user_quota")
    exchange.model = model if isinstance(model, str) and model else _USUAL_MODELS.get(path, str(model))
    return await {**_JSON, **_FORMS}[path](exchange)
