"""An app for browsers and npm's clients to read, run by ``uvicorn``; ``RELAY`` is the relay's address."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from tutuclient import TutuClient, user
from tutuclient.integrations.web import sse, until_gone

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

PAGE = """<!doctype html><meta charset="utf-8"><title>tell</title><link rel="icon" href="data:,"><pre id="told"></pre>
<script>
let source, leaving;
const told = document.querySelector("#told");
const add = (text) => { told.textContent += text; };
function listen(q) {
  source = new EventSource(`tell?q=${q}`);
  source.onmessage = ({ data }) => add(JSON.parse(data).text);
  source.addEventListener("done", ({ data }) => { add(` [${JSON.parse(data).finish_reason}]`); source.close(); });
  source.onerror = ({ data }) => {
    source.close();
    add(data ? ` [${JSON.parse(data).message}]` : " [lost]");
  };
}
// A page that forgets to close what it listens to.
function forget(q) {
  source = new EventSource(`tell?q=${q}`);
  source.onmessage = ({ data }) => add(JSON.parse(data).text);
  source.onerror = () => add(` [${source.readyState}]`);
}
async function fetched(q) {
  leaving = new AbortController();
  const answer = await fetch(`tell?form=text&q=${q}`, { signal: leaving.signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let piece; !(piece = await reader.read()).done; ) add(piece.value);
  } catch (error) { add(` [${error.name}]`); }
}
async function whole(q) {
  leaving = new AbortController();
  try { add((await (await fetch(`whole?q=${q}`, { signal: leaving.signal })).json()).text); }
  catch (error) { add(` [${error.name}]`); }
}
</script>"""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    async with TutuClient("sk-real-0123456789", os.environ["RELAY"], max_retries=0) as app.state.client:
        yield


app = FastAPI(lifespan=lifespan)


def get_weather(city: str) -> dict[str, Any]:
    """Look up the weather.

    Args:
        city: The city's name.
    """
    return {"city": city, "degrees": 21}


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    return PAGE


@app.get("/tell")
async def tell(request: Request, q: str, form: Any = "json") -> Any:
    return sse(request.app.state.client.chat.completions.stream(model="m", messages=[user(q)]), form=form)


@app.get("/whole")
async def whole(request: Request, q: str) -> Any:
    async with until_gone(request):
        answer = await request.app.state.client.chat.completions.create(model="m", messages=[user(q)])
    return {"text": answer.text}


@app.post("/v1/chat/completions")
async def passed_on(request: Request) -> Any:
    fields = await request.json()
    fields.pop("stream", None)
    return sse(request.app.state.client.chat.completions.stream(**fields), form="openai")


@app.post("/chat")
async def chat(request: Request) -> Any:
    said = (await request.json())["messages"]
    messages = [
        {"role": each["role"], "content": "".join(part.get("text", "") for part in each["parts"])} for each in said
    ]
    completions = request.app.state.client.chat.completions
    if "weather" in str(messages):
        run = completions.run_tools(model="m", messages=messages, tools=[get_weather], stream=True)
        return sse(run, form="ai-sdk", heartbeat=0.05)
    return sse(completions.stream(model="m", messages=messages), form="ai-sdk", heartbeat=0.05)
