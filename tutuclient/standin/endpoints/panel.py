"""The endpoints about the relay itself: its models, and the account behind the key."""

from typing import Any

from aiohttp import web

from tutuclient.testing.account import POINTS_PER_UNIT
from tutuclient.testing.exchange import Exchange

MODELS = {
    "gpt-4o": "openai",
    "gpt-4o-mini": "openai",
    "gpt-4o-image": "custom",
    "gpt-4o-audio-preview": "openai",
    "gpt-3.5-turbo-instruct": "openai",
    "text-embedding-3-small": "openai",
    "text-embedding-3-large": "openai",
    "dall-e-2": "openai",
    "dall-e-3": "openai",
    "gpt-image-1": "openai",
    "tts-1": "openai",
    "gpt-4o-mini-tts": "openai",
    "whisper-1": "openai",
    "gpt-4o-transcribe": "openai",
}
"""The models that are listed, at least one for each endpoint; new-api cannot retrieve those of "custom"."""

MODELS_FORMS = ("both", "success", "object")
"""How models are listed: with ``success`` and ``object`` (newer new-api), with ``success`` alone (older), with
``object`` alone (one-api, OpenAI)."""


async def models(exchange: Exchange) -> web.StreamResponse:
    """GET /v1/models."""
    form = exchange.stage.models_form
    listed: dict[str, Any] = {} if form == "object" else {"success": True}
    if form != "success":
        listed["object"] = "list"
    return exchange.respond({**listed, "data": [_model(name, newer=form == "both") for name in MODELS]})


async def model(exchange: Exchange) -> web.StreamResponse:
    """GET /v1/models/{id}: one that is unknown is an error with status 200."""
    name = exchange.request.path.removeprefix("/v1/models/")
    if MODELS.get(name, "custom") != "custom":
        return exchange.respond(_model(name, newer=exchange.stage.models_form == "both"))
    message = f"The model '{name}' does not exist"
    return exchange.error(200, message, code="model_not_found", type="invalid_request_error", param="model")


async def subscription(exchange: Exchange) -> web.StreamResponse:
    """GET /v1/dashboard/billing/subscription, also without /v1."""
    return exchange.respond(exchange.stage.account.subscription())


async def usage(exchange: Exchange) -> web.StreamResponse:
    """GET /v1/dashboard/billing/usage, also without /v1; the dates of its query change nothing."""
    return exchange.respond(exchange.stage.account.usage())


async def token_usage(exchange: Exchange) -> web.StreamResponse:
    """GET /api/usage/token."""
    return exchange.respond(exchange.stage.account.token_usage())


async def status(exchange: Exchange) -> web.StreamResponse:
    """GET /api/status, for which no key is needed."""
    data = {
        "system_name": "tutuclient stand-in",
        "version": "stand-in",
        "quota_per_unit": POINTS_PER_UNIT,
        "display_in_currency": True,
        "price": 7.3,
        "server_address": exchange.stage.origin,
    }
    return exchange.respond({"success": True, "message": "", "data": data})


def _model(name: str, *, newer: bool) -> dict[str, Any]:
    """Describe a model as new-api lists it."""
    kind = (
        "embeddings" if "embedding" in name else "image-generation" if MODELS.get(name) and "e-" in name else "openai"
    )
    described: dict[str, Any] = {
        "id": name,
        "object": "model",
        "created": 1626777600,
        "owned_by": MODELS.get(name, "custom"),
        "permission": None,
        "root": name,
        "parent": None,
    }
    if newer:
        described["supported_endpoint_types"] = [kind]
    return described
