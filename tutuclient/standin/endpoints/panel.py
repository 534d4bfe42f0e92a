"""The endpoints about the relay itself: its models, and the account behind the key."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tutuclient.testing.account import ANSWER_POINTS, IMAGE_POINTS, POINTS_PER_UNIT, Account
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
    # 200, as new-api and one-api answer (WIRE.md 1.10): a client that trusts the status reads a model without a name.
    return exchange.error(200, message, code="model_not_found", type="invalid_request_error", param="model")


def billing(read: Callable[[Account], object]) -> Callable[[Exchange], Awaitable[web.StreamResponse]]:
    """Return an endpoint that answers with what ``read`` returns of the account; dates in a query change nothing."""

    async def answer(exchange: Exchange) -> web.StreamResponse:
        return exchange.respond(read(exchange.stage.account))

    return answer


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


async def pricing(exchange: Exchange) -> web.StreamResponse:
    """GET /api/pricing, for which no key is needed: what ``Account`` charges, and a group that pays half."""
    data = [
        {
            "model_name": name,
            "quota_type": 1,
            "model_ratio": 0,
            "model_price": (IMAGE_POINTS if "image" in name or "dall-e" in name else ANSWER_POINTS) / POINTS_PER_UNIT,
            "owner_by": "",
            "completion_ratio": 0,
            "enable_groups": ["default", "half"],
        }
        for name in MODELS
    ]
    groups = {"default": 1, "half": 0.5}
    usable = {"default": "默认分组", "half": "半价分组"}
    return exchange.respond({"success": True, "data": data, "group_ratio": groups, "usable_group": usable})


def _model(name: str, *, newer: bool) -> dict[str, Any]:
    """Describe a model as new-api lists it."""
    kind = (
        "embeddings" if "embedding" in name else "image-generation" if MODELS.get(name) and "e-" in name else "openai"
    )
    described: dict[str, Any] = {
        "id": name,
        "object": "model",
        # The constant that new-api has for every model (WIRE.md 1.10).
        "created": 1626777600,
        "owned_by": MODELS.get(name, "custom"),
        # one-api sends null for models that an operator added (WIRE.md 1.10).
        "permission": None,
        "root": name,
        "parent": None,
    }
    if newer:
        described["supported_endpoint_types"] = [kind]
    return described
