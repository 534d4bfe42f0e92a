// The page: one image, one prompt, one call at a time. What others wrote becomes text nodes; nothing here makes HTML.
"use strict";

(() => {
  const byId = (id) => document.getElementById(id);
  // A browser may keep nothing for pages, or have no room: then it lasts until the page is loaded again.
  const memory = new Map();
  const kept = (store, name) => {
    try {
      const text = window[store].getItem(`tutu-${name}`);
      if (text !== null) return JSON.parse(text);
    } catch {
      // Reading the name of the store is enough to fail where cookies are blocked.
    }
    return memory.get(`${store} ${name}`) ?? null;
  };
  const keep = (store, name, value) => {
    memory.set(`${store} ${name}`, value);
    try {
      window[store].removeItem(`tutu-${name}`); // Or what is old would stay where the new has no room.
      if (value !== null) window[store].setItem(`tutu-${name}`, JSON.stringify(value));
    } catch {
      // As above.
    }
  };

  const MODELS = { ask: "gpt-4o", edit: "gpt-4o-image", generate: "gpt-4o-image" };
  const models = { ...MODELS, ...kept("sessionStorage", "models") };
  const prompts = { ask: "", edit: "", generate: "", ...kept("sessionStorage", "prompts") };
  let task = kept("sessionStorage", "task") ?? "ask";
  let language = kept("localStorage", "language") ?? (navigator.languages.find((each) => /^(zh|en)/i.test(each)) ?? "en").slice(0, 2).toLowerCase();
  let words = tutuWords[language] ?? tutuWords.en;
  let about = { relay: "", standIn: false, sample: false, most: 20 * 2 ** 20 };
  let source = null; // The image to be sent: {id, src, name, mime, size}, or {file} while it is being read.
  let made = []; // The images of the last order.
  let shown = 0; // Which of them.
  let stageWrong = null;
  let snippets = { python: "", curl: "" };
  const idle = () => ({ state: "idle", task, text: "", thoughts: "", progress: "", end: null, wrong: null, since: 0 });
  let call = idle();

  const fingers = matchMedia("(pointer: coarse)"); // They drop and paste nothing.

  // --- The token of this start: from the address, where nobody who sees the screen should find it ---

  const fragment = location.hash.slice(1);
  if (/^[\w-]{32}$/.test(fragment)) {
    // What the tab has of an earlier start is nothing that this one knows.
    if (kept("sessionStorage", "token") !== fragment) for (const name of ["call", "image"]) keep("sessionStorage", name, null);
    keep("sessionStorage", "token", fragment);
    history.replaceState(null, "", location.pathname);
  }
  const token = kept("sessionStorage", "token");

  // --- Text ---

  // Controls and overrides of direction are shown, or a name could pass for another.
  const visible = (text) =>
    String(text).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, (each) => {
      const code = each.charCodeAt(0);
      if (code === 13) return "";
      return code < 32 ? String.fromCharCode(0x2400 + code) : `\\u${code.toString(16).padStart(4, "0")}`;
    });

  // For the shapes of Han characters, and for what reads aloud.
  const languageOf = (text) => {
    if (/[\u3040-\u30ff]/.test(text)) return "ja";
    if (/[\uac00-\ud7af]/.test(text)) return "ko";
    return /[\u3400-\u9fff]/.test(text) ? "zh-Hans" : "en";
  };

  const make = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };

  const size = (bytes) =>
    bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.max(bytes / 1e3, 0.1).toFixed(bytes < 1e4 ? 1 : 0)} kB`;
  const seconds = (value) => (value < 0.9995 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(value < 60 ? 1 : 0)} s`);
  const randomId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (each) => each.toString(16).padStart(2, "0")).join("");

  // --- The server ---

  class Refused extends Error {
    constructor(status, error) {
      super(error.message ?? "");
      this.details = { ...error, status: error.status ?? status, advice: error.advice ?? error.code ?? "http" };
    }
  }

  const ask = async (path, options = {}) => {
    const response = await fetch(path, { ...options, cache: "no-store", headers: { "X-Tutu-Token": token ?? "", ...options.headers } });
    if (response.ok) return response;
    let error = { code: "http", message: `${response.status} ${response.statusText}` };
    try {
      error = (await response.json()).error;
    } catch {
      // An answer that is not the page's server's own.
    }
    if (error.code === "token") lock();
    throw new Refused(response.status, error);
  };
  const post = async (path, body) => (await ask(path, { method: "POST", body })).json();
  const described = (error) =>
    error instanceof Refused ? error.details : { advice: "server", outcome: null, message: String(error.message ?? "") };

  const lock = () => {
    byId("locked").hidden = false;
    byId("main").hidden = true;
  };

  // --- What is shown ---

  // The call whose answer stands beside the task that is chosen.
  const current = () => (call.task === task ? call : idle());
  const running = () => call.state === "asking" || call.state === "streaming";

  const sayAll = () => {
    words = tutuWords[language];
    document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
    document.title = words.title;
    for (const element of document.querySelectorAll("[data-t]")) element.textContent = words[element.dataset.t];
    byId("to-zh").setAttribute("aria-pressed", String(language === "zh"));
    byId("to-en").setAttribute("aria-pressed", String(language !== "zh"));
    render();
  };

  const renderStage = () => {
    const generating = task === "generate";
    const image = generating ? null : source;
    const result = made.length && call.task === task ? made[shown] : null;
    const comparing = Boolean(image && result && image.id === call.source);
    byId("drop").hidden = Boolean(image || result);
    byId("drop").classList.toggle("quiet", generating);
    const [title, hint] = generating ? ["dropGenerate", "dropGenerateHint"] : fingers.matches ? ["touchTitle", "touchHint"] : ["dropTitle", "dropHint"];
    byId("drop-title").textContent = words[title];
    byId("drop-hint").textContent = words[hint];
    byId("choose").hidden = generating;
    byId("sample").hidden = generating || !about.sample;
    byId("over").textContent = words.dropOver;
    byId("view").hidden = !image && !result;
    const first = comparing || !result ? image : result;
    if (first && byId("before").getAttribute("src") !== first.src) {
      byId("no-preview").hidden = true;
      byId("before").hidden = false;
      byId("before").src = first.src;
    }
    byId("before").alt = first && first === result ? words.altAfter : words.altBefore(visible(first?.name ?? ""));
    byId("no-preview").textContent = words.noPreview;
    for (const id of ["after", "label-before", "label-after", "slider"]) byId(id).hidden = !comparing;
    if (comparing && byId("after").getAttribute("src") !== result.src) byId("after").src = result.src;
    byId("after").alt = words.altAfter;
    byId("slider").setAttribute("aria-label", words.slider);
    slide();
    const named = result ?? image;
    byId("file-name").textContent = named ? visible(named.name) : "";
    byId("file-facts").textContent = named ? (named.id ? `${named.mime.replace("image/", "").toUpperCase()}, ${size(named.size)}` : words.uploading) : "";
    byId("download").hidden = byId("go-on").hidden = !result;
    if (result) {
      byId("download").href = result.src;
      byId("download").download = result.name;
    }
    byId("replace").hidden = byId("remove").hidden = generating || running();
    byId("go-on").disabled = running();
    byId("veil").hidden = !(running() && call.task !== "ask");
    byId("more").hidden = made.length < 2 || !result;
    byId("more").replaceChildren(
      ...(made.length < 2 ? [] : made).map((each, at) => {
        const button = make("button", { type: "button", "aria-pressed": String(at === shown) }, make("img", { src: each.src, alt: `${at + 1}` }));
        button.addEventListener("click", () => {
          shown = at;
          render();
        });
        return make("li", {}, button);
      }),
    );
    byId("stage-wrong").hidden = !stageWrong;
    byId("stage-wrong").textContent = stageWrong ? wordsOf(stageWrong) : "";
  };

  // What to do, in the page's language; of an image also what is wrong with it, which the server knows.
  const wordsOf = (error) => {
    const advice = words.advice[error.advice] ?? words.advice.later;
    return error.advice === "image" && error.message ? `${advice} ${visible(error.message)}` : advice;
  };

  const renderForm = () => {
    document.body.dataset.task = task;
    for (const input of document.getElementsByName("task")) {
      input.checked = input.value === task;
      input.disabled = running();
    }
    byId("prompt").placeholder = words.prompts[task];
    byId("prompt-label").textContent = words.prompts[task];
    if (byId("prompt").value !== prompts[task]) byId("prompt").value = prompts[task];
    byId("prompt").lang = languageOf(prompts[task] || words.prompts[task]);
    if (byId("model").value !== models[task]) byId("model").value = models[task];
    byId("prompt").readOnly = byId("model").readOnly = running();
    byId("send").textContent = words.send[task];
    // It keeps its place and the focus: a second click, or Enter again, must meet neither the button to stop nor nothing.
    byId("send").setAttribute("aria-disabled", String(running()));
    byId("stop").hidden = !running();
    byId("hints").replaceChildren(
      ...(prompts[task] || running() ? [] : words.hints[task]).map((hint) => {
        const button = make("button", { type: "button", class: "hint" }, hint);
        button.addEventListener("click", () => {
          write(hint);
          byId("prompt").focus();
        });
        return button;
      }),
    );
  };

  const pair = (name, value) => [make("dt", {}, name), make("dd", {}, make("bdi", {}, visible(value)))];

  const renderEnd = () => {
    const { end, wrong } = current();
    const stopped = end?.type === "stopped";
    const failed = wrong ?? (end?.type === "error" ? end : null);
    byId("notice").hidden = !stopped && !failed;
    byId("notice").dataset.kind = stopped ? "stopped" : "error";
    byId("notice").querySelector("details").hidden = !failed;
    if (stopped) {
      byId("notice-title").textContent = words.stopped;
      byId("notice-outcome").textContent = words.stoppedOutcome[end.outcome === "not_sent" ? "not_sent" : call.task === "ask" ? "ask" : "order"];
    } else if (failed) {
      const paid = failed.advice === "download" || failed.advice === "drawing";
      byId("notice-title").textContent = wordsOf({ ...failed, message: "" });
      byId("notice-outcome").textContent = paid ? words.paid : words.outcome[failed.outcome] ?? "";
      const facts = ["name", "status", "requestId", "attempts"].filter((key) => failed[key]).flatMap((key) => pair(words.facts[key], failed[key]));
      if (failed.retryAfter) facts.push(...pair(words.facts.retryAfter, seconds(failed.retryAfter)));
      for (const address of failed.addresses ?? []) facts.push(...pair(words.facts.addresses, address));
      byId("notice-facts").replaceChildren(...facts);
      byId("notice-message").textContent = visible(failed.message ?? "");
    }
    const figures = [];
    if (end?.type === "done") {
      figures.push(...pair(words.figures.elapsed, seconds(end.elapsed)));
      if (end.first) figures.push(...pair(words.figures.first, seconds(end.first)));
      if (end.usage) figures.push(...pair(words.figures.tokens, words.tokens(end.usage)));
      if (end.model) figures.push(...pair(words.figures.model, end.model));
      if (end.finishReason && end.finishReason !== "stop") figures.push(...pair(words.figures.finishReason, end.finishReason));
      if (end.attempts > 1) figures.push(...pair(words.figures.attempts, end.attempts));
      if (end.requestId) figures.push(...pair(words.figures.requestId, end.requestId));
      for (const warning of end.warnings ?? []) figures.push(...pair(words.figures.warnings, warning));
    }
    if (end?.leftOut) figures.push(...pair(words.figures.warnings, words.leftOut(end.leftOut)));
    byId("figures").hidden = !figures.length;
    byId("figures").replaceChildren(...figures);
  };

  const stateWords = () => {
    const call = current();
    if (call.state === "asking") return call.progress || (call.thoughts ? words.thinking : words.asking[call.task]);
    if (call.state === "streaming") return words.writing;
    if (call.end?.type === "done") return words.finished;
    if (call.end?.type === "stopped" || call.end || call.wrong) return "";
    return words.idle[task];
  };

  const renderAnswer = () => {
    const call = current();
    document.body.dataset.state = call.state;
    const text = byId("text");
    const wanted = visible(call.text);
    const first = text.firstChild;
    // Appended to, so that a selection stays and a long answer is not laid out anew at each token.
    if (first && wanted.startsWith(first.data)) first.appendData(wanted.slice(first.data.length));
    else text.replaceChildren(...(wanted ? [wanted] : []));
    text.lang = languageOf(wanted.slice(0, 2000));
    text.setAttribute("aria-busy", String(running()));
    byId("thoughts").hidden = !call.thoughts;
    byId("thoughts-text").textContent = visible(call.thoughts);
    const state = stateWords();
    if (byId("state").firstChild?.data !== state) byId("state").replaceChildren(state);
    byId("state").dataset.kind = running() ? "running" : call.end?.type ?? call.state;
    renderEnd();
  };

  const render = () => {
    byId("relay").textContent = about.relay ? (about.standIn ? words.standIn : words.relay)(visible(new URL(about.relay).host)) : "";
    byId("relay").title = about.relay;
    byId("relay").classList.toggle("stand-in", about.standIn);
    renderStage();
    renderForm();
    renderAnswer();
    byId("code").textContent = snippets[document.querySelector("[name=code]:checked").value];
  };

  let frame = 0;
  const renderSoon = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      renderAnswer();
    });
  };

  const slide = () => {
    const share = byId("slider").value;
    byId("frame").style.setProperty("--cut", `${share}%`);
    byId("slider").setAttribute("aria-valuetext", words.sliderValue(Math.round(share)));
  };

  // Both languages of the page may be lacking on a computer of somebody who reads code: that is never translated.
  let codeTimer = 0;
  let codeAsked = "";
  const renewCode = () => {
    clearTimeout(codeTimer);
    codeTimer = setTimeout(async () => {
      const asked = { ...request("code-only-code-only"), prompt: prompts[task].trim() ? prompts[task] : words.hints[task][0], model: models[task].trim() || MODELS[task] };
      const body = JSON.stringify(asked);
      if (body === codeAsked) return;
      codeAsked = body;
      try {
        const renewed = await post("/api/code", body);
        if (codeAsked !== body) return;
        snippets = renewed;
        render();
      } catch {
        codeAsked = ""; // Tried again at the next change; a call tells what is wrong.
      }
    }, 200);
  };

  // --- The image ---

  const take = async (file) => {
    if (running()) return;
    stageWrong = null;
    if (file.size > about.most) {
      stageWrong = { advice: "too_large" };
      render();
      return;
    }
    if (task === "generate") setTask("edit");
    const reading = { id: null, src: URL.createObjectURL(file), name: file.name || "image", mime: file.type, size: file.size };
    const previous = source;
    source = reading;
    made = [];
    call = idle();
    keep("sessionStorage", "call", null);
    render();
    try {
      const stored = await post(`/api/images?name=${encodeURIComponent(file.name || "image")}`, file);
      if (source === reading) setSource(stored);
    } catch (error) {
      if (source === reading) {
        setSource(previous?.id ? previous : null);
        stageWrong = described(error);
      }
    }
    URL.revokeObjectURL(reading.src);
    render();
  };

  const setSource = (image) => {
    source = image;
    keep("sessionStorage", "image", image);
    say("");
    renewCode();
  };

  const takeSample = async () => {
    stageWrong = null;
    try {
      const stored = await post("/api/sample");
      made = [];
      call = idle();
      setSource(stored);
    } catch (error) {
      stageWrong = described(error);
    }
    render();
    byId("prompt").focus();
  };

  const filesOf = (transfer) => [...(transfer?.files ?? [])];

  // --- The call ---

  const say = (text) => {
    byId("need").textContent = text;
  };

  const request = (id) => ({ id, task, prompt: prompts[task], model: models[task].trim(), image: task === "generate" ? null : source?.id ?? null });

  const send = () => {
    if (running()) return; // A second click.
    if (task !== "generate" && !source) return say(words.needImage);
    if (task !== "generate" && !source.id) return say(words.needUpload);
    if (!prompts[task].trim()) {
      byId("prompt").focus();
      return say(words.needPrompt);
    }
    if (!models[task].trim()) return say(words.needModel);
    say("");
    const asked = request(randomId());
    // Written down before it is sent: a page that is loaded again reads this call, and sends none.
    keep("sessionStorage", "call", asked);
    follow(asked, () => ask("/api/calls", { method: "POST", body: JSON.stringify(asked), signal: leaving.signal }));
  };

  let leaving = new AbortController();
  let clock = 0;

  const tick = () => {
    byId("state").style.setProperty("--elapsed", `"${((performance.now() - call.since) / 1000).toFixed(1)} s"`);
  };

  const follow = async (asked, open) => {
    leaving = new AbortController();
    made = [];
    shown = 0;
    const own = { ...idle(), state: "asking", task: asked.task, id: asked.id, source: asked.image, since: performance.now() };
    call = own;
    clearInterval(clock);
    clock = setInterval(tick, 100);
    tick();
    render();
    try {
      const response = await open();
      await readEvents(response, own);
      if (!own.end) own.wrong = { advice: asked.task === "ask" ? "server" : "serverCut", outcome: null };
    } catch (error) {
      if (error.name === "AbortError") own.end = { type: "stopped", outcome: "unknown" };
      else own.wrong = { ...described(error), ...(error instanceof Refused || asked.task === "ask" ? {} : { advice: "serverCut" }) };
    }
    clearInterval(clock);
    if (call !== own) return;
    own.state = own.end?.type ?? "error";
    const focused = [byId("send"), byId("stop"), document.body].includes(document.activeElement);
    render();
    if (focused) byId(made.length && own.task === "edit" ? "slider" : "prompt").focus({ preventScroll: true });
  };

  const readEvents = async (response, own) => {
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line) happened(JSON.parse(line), own);
    }
  };

  const happened = (event, own) => {
    if (event.type === "text" || event.type === "thinking") {
      if (event.type === "text") own.state = "streaming";
      own[event.type === "text" ? "text" : "thoughts"] += event.text;
      renderSoon();
      if (event.type === "text" && own.text === event.text) render();
    } else if (event.type === "progress") {
      own.progress = event.text;
      renderSoon();
    } else if (event.type === "image") {
      made.push(event);
      if (own.task === "edit") {
        byId("slider").value = 50;
        byId("frame").classList.remove("arrived");
        void byId("frame").offsetWidth; // The animation begins anew.
        byId("frame").classList.add("arrived");
      }
      render();
    } else {
      own.end = event;
    }
  };

  const stop = async () => {
    const { id } = call;
    // Browsers open six connections to a server, for all tabs: where others have them, leaving is what can be done.
    const leave = leaving;
    const timer = setTimeout(() => leave.abort(), 2000);
    try {
      await post(`/api/calls/${id}/stop`);
    } catch {
      leave.abort();
    }
    if (call.id !== id || !running()) clearTimeout(timer);
  };

  const attach = (asked) => follow(asked, () => ask(`/api/calls/${encodeURIComponent(asked.id)}`, { signal: leaving.signal }));

  // --- What people do ---

  const setTask = (name) => {
    task = name;
    keep("sessionStorage", "task", task);
    say("");
    render();
    renewCode();
  };

  const write = (text) => {
    prompts[task] = text;
    keep("sessionStorage", "prompts", prompts);
    say("");
    renderForm();
    renewCode();
  };

  const copy = async () => {
    const code = byId("code");
    let told = words.copied;
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      getSelection().selectAllChildren(code); // The clipboard wants a secure context, or somebody's leave.
      told = words.copyByHand;
    }
    byId("copy").textContent = told;
    setTimeout(() => (byId("copy").textContent = words.copy), 2000);
  };

  const choose = () => byId("file").click();

  const listen = () => {
    for (const [id, chosen] of [["to-zh", "zh"], ["to-en", "en"]]) {
      byId(id).addEventListener("click", () => {
        language = chosen;
        keep("localStorage", "language", language);
        sayAll();
        renewCode();
      });
    }
    byId("tasks").addEventListener("change", (event) => setTask(event.target.value));
    byId("languages").addEventListener("change", render);
    byId("prompt").addEventListener("input", () => write(byId("prompt").value));
    byId("model").addEventListener("input", () => {
      models[task] = byId("model").value;
      keep("sessionStorage", "models", models);
      renewCode();
    });
    byId("prompt").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing && !event.repeat) send();
    });
    byId("form").addEventListener("submit", (event) => {
      event.preventDefault();
      send();
    });
    // The answer may be there before the second half of a double click, or while a key is held: one order is meant.
    byId("send").addEventListener("click", (event) => {
      if (event.detail > 1) event.preventDefault();
    });
    byId("send").addEventListener("keydown", (event) => {
      if (event.repeat) event.preventDefault();
    });
    byId("stop").addEventListener("click", stop);
    byId("choose").addEventListener("click", choose);
    byId("replace").addEventListener("click", choose);
    byId("sample").addEventListener("click", takeSample);
    byId("file").addEventListener("change", () => {
      const [file] = byId("file").files;
      byId("file").value = "";
      if (file) take(file);
    });
    byId("remove").addEventListener("click", () => {
      made = [];
      call = idle();
      keep("sessionStorage", "call", null);
      setSource(null);
      render();
      byId("choose").focus();
    });
    byId("go-on").addEventListener("click", () => {
      const next = made[shown];
      made = [];
      call = idle();
      keep("sessionStorage", "call", null);
      setSource({ id: next.id, src: next.src, name: next.name, mime: next.mime, size: next.size });
      if (task === "generate") setTask("edit");
      write("");
      render();
      byId("prompt").focus();
    });
    byId("slider").addEventListener("input", slide);
    byId("before").addEventListener("error", () => {
      byId("before").hidden = true;
      byId("no-preview").hidden = false;
    });
    byId("copy").addEventListener("click", copy);

    document.addEventListener("paste", (event) => {
      const [file] = filesOf(event.clipboardData);
      if (!file) return;
      event.preventDefault();
      take(file);
    });
    // Everywhere, or a file that is dropped beside the frame would be opened in place of the page.
    let depth = 0;
    document.addEventListener("dragenter", () => {
      depth += 1;
      document.body.classList.toggle("dragging", !running());
    });
    document.addEventListener("dragleave", () => {
      depth -= 1;
      if (depth <= 0) document.body.classList.remove("dragging");
    });
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      depth = 0;
      document.body.classList.remove("dragging");
      const [file] = filesOf(event.dataTransfer);
      if (file) take(file);
      else if (!running()) {
        stageWrong = { advice: "address_dropped" };
        render();
      }
    });
  };

  const start = async () => {
    listen();
    source = kept("sessionStorage", "image");
    sayAll();
    if (!token) return lock();
    try {
      about = await (await ask("/api/about")).json();
    } catch (error) {
      if (byId("locked").hidden) call = { ...idle(), state: "error", wrong: described(error) };
    }
    if (!byId("locked").hidden) return;
    byId("main").hidden = false;
    sayAll();
    renewCode();
    const asked = kept("sessionStorage", "call");
    if (asked) attach(asked);
    try {
      const listed = await (await ask("/api/models")).json();
      byId("models").replaceChildren(...listed.models.map((name) => make("option", { value: name })));
    } catch {
      // A help to write a name, and no more.
    }
  };

  start();
})();
