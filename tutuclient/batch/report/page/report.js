// The page of a report. All text of the run becomes text nodes: nothing here makes HTML of it, and the policy forbids it.
"use strict";

const tutuReport = (() => {
  const PAGE = 48;
  const KEPT_PIECES = 60;
  const STATUSES = ["answered", "failed", "unknown"];
  const ICONS = { answered: "✓", failed: "✕", unknown: "?" };
  const TASKS = { ask: "Questions about images", edit: "Edits of images", generate: "Images made from words" };
  const NO_THUMBNAIL = {
    "!remote": "At an address; reports load nothing from elsewhere",
    "!gone": "No file of this name is there now",
    "!unreadable": "Cannot be drawn as an image",
    "!pillow": "No thumbnail: Pillow is not installed",
    "!limit": "No thumbnail: the report has its most",
  };
  const byId = (id) => document.getElementById(id);
  const scripts = window.trustedTypes
    ? trustedTypes.createPolicy("tutuclient-report", { createScriptURL: (number) => `data/${Number(number)}.js` })
    : { createScriptURL: (number) => `data/${Number(number)}.js` };

  let run = null;
  const pieces = new Map(); // By number, the least recently used first.
  const waiting = new Map();
  const view = { status: "all", cls: "", query: "", page: 0 };
  let found = []; // Numbers of the rows that are shown, page by page.
  let searching = 0; // Counts searches, so that one that is overtaken ends.
  let opened = -1;

  // --- Text ---

  // Controls and overrides of direction are shown, or a name could pass for another.
  const visible = (text) =>
    String(text).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/g, (each) => {
      const code = each.charCodeAt(0);
      if (code === 13) return "";
      return code < 32 ? String.fromCharCode(0x2400 + code) : `\\u${code.toString(16).padStart(4, "0")}`;
    });

  // For the shapes of Han characters, and for what reads aloud.
  const languageOf = (text) => {
    if (/[\u3040-\u30ff]/.test(text)) return "ja";
    if (/[\uac00-\ud7af]/.test(text)) return "ko";
    return /[\u3400-\u9fff]/.test(text) ? "zh" : "";
  };

  const make = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value !== undefined && value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return made;
  };

  // An element that holds text of the run: isolated, in its own direction and language.
  const said = (name, text, attributes = {}) => {
    const shown = visible(text);
    const lang = languageOf(shown.slice(0, 2000));
    return make(name, { dir: "auto", lang: lang || null, ...attributes }, shown);
  };

  const number = (value) => Math.round(value).toLocaleString("en-US");
  const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
  const short = (value) =>
    value < 10000 ? number(value) : compact.format(value).replace("K", "k");
  const percent = (part, whole) => {
    if (!whole) return "";
    const share = (100 * part) / whole;
    // Neither a few failures of many nor a few missing answers are rounded away.
    if (part && share < 0.1) return "under 0.1 %";
    if (part < whole && share > 99.9) return "over 99.9 %";
    return `${Math.round(share * 10) / 10} %`;
  };
  const many = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;
  const seconds = (value) => {
    if (value < 0.9995) return `${Math.round(value * 1000)} ms`;
    if (value < 120) return `${Math.round(value * (value < 10 ? 100 : 10)) / (value < 10 ? 100 : 10)} s`;
    if (value < 7200) return `${Math.round(value / 6) / 10} min`;
    return value < 172800 ? `${Math.round(value / 360) / 10} h` : `${Math.round(value / 8640) / 10} days`;
  };
  const moment = (when, options = { dateStyle: "medium", timeStyle: "short" }) =>
    new Intl.DateTimeFormat("en-GB", options).format(new Date(when * 1000));
  const clock = (when, withSeconds) =>
    moment(when, { hour: "2-digit", minute: "2-digit", ...(withSeconds ? { second: "2-digit" } : {}) });

  const nameParts = (id) => {
    const cut = Math.max(id.lastIndexOf("/", id.length - 2), id.lastIndexOf("\\", id.length - 2)) + 1;
    return [id.slice(0, cut), id.slice(cut)];
  };

  // --- Data ---

  const load = (piece) => {
    const there = pieces.get(piece);
    if (there) {
      pieces.delete(piece);
      pieces.set(piece, there);
      return Promise.resolve(there);
    }
    if (!waiting.has(piece)) {
      const script = make("script");
      const promise = new Promise((resolve, reject) => {
        waiting.set(piece, { resolve, promise: null });
        const ended = () => { // When it was read, nothing waits for it any more.
          script.remove();
          if (waiting.delete(piece)) reject(new Error(`data/${piece}.js is not there, or is damaged`));
        };
        script.addEventListener("load", ended);
        script.addEventListener("error", ended);
      });
      waiting.get(piece).promise = promise;
      script.src = scripts.createScriptURL(piece);
      document.head.append(script);
    }
    return waiting.get(piece).promise;
  };

  // Called by data/0.js and so on.
  const rows = (piece, text) => {
    const parsed = JSON.parse(text);
    pieces.set(piece, parsed);
    if (pieces.size > KEPT_PIECES) pieces.delete(pieces.keys().next().value);
    waiting.get(piece)?.resolve(parsed);
    waiting.delete(piece);
  };

  const kindOf = (row) => run.codes[Math.floor(row / run.piece)].charCodeAt(row % run.piece) - 48;

  const rowsOf = async (numbers) => {
    const wanted = [...new Set(numbers.map((row) => Math.floor(row / run.piece)))];
    const loaded = new Map();
    await Promise.all(wanted.map(async (piece) => loaded.set(piece, await load(piece))));
    return numbers.map((row) => loaded.get(Math.floor(row / run.piece))[row % run.piece]);
  };

  const haystack = (row) => {
    row.hay ??= [row.id, typeof row.x === "object" ? JSON.stringify(row.x) : row.x, row.e, row.c, row.r, row.task]
      .filter(Boolean).join("\n").normalize("NFC").toLowerCase();
    return row.hay;
  };

  // --- Head and figures ---

  const showHead = () => {
    document.title = `${visible(run.name)}: report of a run`;
    byId("task").textContent = TASKS[run.task] ?? "Report of a run";
    byId("name").replaceChildren(said("bdi", run.name));
    const facts = [many(total(), "item")];
    if (run.about.model !== undefined) facts.push(said("bdi", run.about.model));
    for (const [name, value] of Object.entries(run.about)) {
      if (name !== "model") facts.push(make("span", {}, `${name} `, said("bdi", value)));
    }
    if (run.first) {
      const oneDay = moment(run.first, { dateStyle: "medium" }) === moment(run.last, { dateStyle: "medium" });
      const until = oneDay ? clock(run.last) : moment(run.last);
      facts.push(moment(run.first).endsWith(until) ? moment(run.first) : `${moment(run.first)} to ${until}`);
    }
    byId("facts").replaceChildren(...facts.map((fact) => make("span", {}, fact)));
    if (run.prompt) {
      byId("prompt").hidden = false;
      byId("prompt-text").replaceWith(said("blockquote", run.prompt, { id: "prompt-text" }));
    }
    byId("foot").textContent =
      `Written ${moment(run.written)} by tutuclient ${run.version}, from the run's journal. Nothing on this page comes from elsewhere.`;
  };

  const total = () => STATUSES.reduce((sum, each) => sum + run.counts[each], 0);

  // By the journal's words for why a run ended; "end" needs none.
  const ENDED = {
    budget: "The run stopped at its budget.",
    failures: "The run stopped since too many items failed.",
    error: "The run stopped at an error that all items would have met.",
    closed: "The run stopped since the relay let nothing in any more.",
    failed: "The run ended with an error.",
    cancelled: "The run was stopped before its end.",
    left: "The run was left before its end.",
  };

  const showNotices = () => {
    const notices = [];
    const { starts, ended, refusals } = run.course;
    if (starts && ended !== "end") {
      const how = ended === null ? "The run was going on when this was written, or was killed." : ENDED[ended] ?? `The run stopped (${visible(ended)}).`;
      const more = ended === "budget" ? " with a higher --budget" : "";
      notices.push(`${how} The same command${more} goes on where it was.`);
    }
    const cut = run.finish.filter(([reason]) => ["length", "max_tokens", "model_length"].includes(reason));
    const cutCount = cut.reduce((sum, [, count]) => sum + count, 0);
    if (cutCount) notices.push(`${many(cutCount, "answer")} ended at the limit of tokens, so ${cutCount === 1 ? "it may be" : "they may be"} cut off: a higher max_tokens gives whole ones.`);
    if (refusals) notices.push(`The relay refused ${many(refusals, "call")} for being too many. Such a call is made again when it lets more in.`);
    const marks = run.marks;
    if (marks["!pillow"]) notices.push("There are no thumbnails, for Pillow is not installed: pip install \"tutuclient[images]\", and write the report again.");
    if (marks["!limit"]) notices.push(`${many(marks["!limit"], "image")} got no thumbnail: a report makes a limited number of them.`);
    if (marks["!gone"]) notices.push(`${many(marks["!gone"], "item")} ${marks["!gone"] === 1 ? "has" : "have"} no thumbnail, since no file of the item's name is there now. Names count from the folder that the run was started with, else from where the report was written.`);
    if (!total()) notices.push("Nothing has been written to the journal of this run yet.");
    byId("notices").replaceChildren(...notices.map((text) => make("p", { class: "notice" }, text)));
  };

  const tile = (name, value, more, status) =>
    make("div", { class: "tile", "data-status": status },
      make("dt", {}, name),
      make("dd", { class: "value" }, value),
      more ? make("dd", { class: "more" }, more) : null);

  const rateOf = (perSecond) => {
    if (perSecond >= 2) return [perSecond, "a second"];
    return perSecond * 60 >= 2 ? [perSecond * 60, "a minute"] : [perSecond * 3600, "an hour"];
  };

  const showFigures = () => {
    const all = total();
    const { tokens, latency, counts } = run;
    const tiles = [tile("Answered", number(counts.answered), percent(counts.answered, all), "answered")];
    tiles.push(tile("Failed", number(counts.failed), counts.failed ? percent(counts.failed, all) : "none", "failed"));
    tiles.push(tile("Unknown", number(counts.unknown), counts.unknown ? "maybe done and billed" : "none", "unknown"));
    if (run.images || run.task !== "ask") tiles.push(tile("Images made", number(run.images), ""));
    if (latency) tiles.push(tile("Median time", seconds(latency.p50), `9 of 10 within ${seconds(latency.p90)}`));
    if (tokens.items) {
      const missing = run.counts.answered + run.counts.failed - tokens.items;
      const more = `${short(tokens.in)} in, ${short(tokens.out)} out`;
      tiles.push(tile("Tokens", short(tokens.in + tokens.out), missing > 0 && tokens.items < counts.answered ? `${more}; not all told` : more));
    } else if (all) {
      tiles.push(tile("Tokens", "–", "the relay told none"));
    }
    if (run.time.bins.length) {
      const laid = tutuCharts.timeline(run.time, 60);
      const [rate, unit] = rateOf(all / Math.max(laid.active, 1));
      tiles.push(tile(`Items ${unit}`, number(rate), `in ${seconds(laid.active)}${laid.pauses.length ? ", pauses left out" : ""}`));
    }
    byId("tiles").replaceChildren(...tiles);
    const share = byId("share");
    share.setAttribute("aria-label", STATUSES.map((each) => `${number(counts[each])} ${each}`).join(", "));
    share.replaceChildren(...STATUSES.filter((each) => counts[each]).map((each) => {
      const part = make("span", { "data-status": each });
      part.style.flexGrow = String(counts[each]);
      return part;
    }));
  };

  const table = (heads, lines) =>
    make("table", {},
      make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
      make("tbody", {}, ...lines.map((line) => make("tr", {}, ...line.map((cell) => make("td", {}, cell))))));

  const showThroughput = () => {
    if (!run.time.bins.length) return;
    const figure = byId("throughput");
    figure.hidden = false;
    const laid = tutuCharts.timeline(run.time, Math.max(12, Math.min(90, figure.clientWidth / 8)));
    const most = Math.max(...laid.columns.map((each) => each.counts.reduce((sum, value) => sum + value, 0)));
    const [, unit] = rateOf(most / laid.wide);
    const factor = { "a second": 1, "a minute": 60, "an hour": 3600 }[unit] / laid.wide;
    const count = laid.columns.length;
    const words = (each) => STATUSES.filter((_, at) => each.counts[at]).map((name) => `${number(each.counts[STATUSES.indexOf(name)])} ${name}`).join(", ") || "none";
    const days = moment(run.first, { dateStyle: "medium" }) !== moment(run.last, { dateStyle: "medium" });
    const withSeconds = laid.wide < 60 && laid.active < 900;
    figure.querySelector("p").textContent = `Items ${unit}, a column for each ${seconds(laid.wide)}; stacked: answered, failed, unknown`;
    const firstOfDay = (at) => days && (!at || moment(laid.columns[at].begin, { dateStyle: "medium" }) !== moment(laid.columns[at - 1].begin, { dateStyle: "medium" }));
    tutuCharts.columns(figure.querySelector(".chart"), {
      label: `Throughput: up to ${number(most * factor)} items ${unit}. The figures are in the table that follows.`,
      columns: laid.columns.map((each, at) => ({
        at: at / count,
        to: (at + 1) / count,
        parts: each.counts.map((value) => value * factor),
        title: `${moment(each.begin, { dateStyle: "medium", timeStyle: "medium" })}: ${words(each)}`,
      })),
      ticks: laid.columns.map((each, at) => ({
        at: (at + 0.5) / count,
        text: firstOfDay(at) ? moment(each.begin, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }) : clock(each.begin, withSeconds),
      })),
      breaks: laid.pauses.map(({ before, seconds: gap }) => ({ at: before / count, text: `${seconds(gap)} pause` })),
    });
    onFirstOpening(figure.querySelector("details"), () => table(
      ["From", "Answered", "Failed", "Unknown"],
      laid.columns.map((each) => [moment(each.begin, { dateStyle: "medium", timeStyle: "medium" }), ...each.counts.map(number)]),
    ));
  };

  const showLatency = () => {
    if (!run.latency) return;
    const { bins, p50, p90, p99, max, count } = run.latency;
    const figure = byId("latency");
    figure.hidden = false;
    const low = Math.log10(bins[0][0]);
    const high = Math.log10(bins[bins.length - 1][1]);
    const place = (value) => Math.min(Math.max((Math.log10(value) - low) / (high - low), 0), 1);
    const ticks = [];
    for (let power = Math.floor(low); power <= high; power += 1) {
      for (const digit of [1, 2, 5]) {
        const value = digit * 10 ** power;
        if (value >= bins[0][0] && value <= bins[bins.length - 1][1]) ticks.push({ at: place(value), text: seconds(value) });
      }
    }
    figure.querySelector("p").textContent =
      `From an item's admission by the pace to its end; ${seconds(p99)} for 99 of 100, ${seconds(max)} at most`;
    if (ticks.length < 2) ticks.splice(0, 1, ...[bins[0][0], bins.at(-1)[1]].map((edge) => ({ at: place(edge), text: seconds(edge) })));
    tutuCharts.columns(figure.querySelector(".chart"), {
      label: `Times of ${number(count)} answers: half within ${seconds(p50)}, nine of ten within ${seconds(p90)}, the longest ${seconds(max)}. The figures are in the table that follows.`,
      columns: bins.map(([from, to, amount]) => ({
        at: place(from),
        to: place(to),
        parts: [amount],
        title: `${seconds(from)} to ${seconds(to)}: ${number(amount)}`,
      })),
      ticks,
      marks: [{ at: place(p50), text: `half: ${seconds(p50)}` }, { at: place(p90), text: `90 %: ${seconds(p90)}` }],
    });
    onFirstOpening(figure.querySelector("details"), () => table(
      ["From", "To", "Answers"], bins.map(([from, to, amount]) => [seconds(from), seconds(to), number(amount)]),
    ));
  };

  const onFirstOpening = (details, build) => {
    details.addEventListener("toggle", () => details.querySelector(".scroll").replaceChildren(build()), { once: true });
  };

  // --- What may be paid for, and what failed ---

  const HOW_ENDED = { task: "answered with a task", none: "no end was written", unknown: "no answer came", done: "made, and not fetched" };

  const showUnknowns = () => {
    const { count, items } = run.paid;
    if (!count) return;
    const orders = run.task !== "ask";
    byId("unknowns").hidden = false;
    byId("unknowns-title").textContent = orders
      ? `${many(count, "order")} that may be paid for, without ${count === 1 ? "its" : "their"} image`
      : `${many(count, "question")} of unknown outcome`;
    byId("unknowns-what").textContent = orders
      ? "They were sent, and the run does not know what became of them, or the image was made and could not be fetched. None is ordered again by itself, since that could be paid for twice."
      : "They were sent, and no answer came. The relay may have answered and billed them all the same.";
    const steps = orders
      ? [
        "Look at the relay's own log for the time and the request id: it tells whether the image was made, and often where it is.",
        "Where the list has a task, `tutuclient batch run` as before asks for its image and orders nothing.",
        "What was not made can be ordered again: `tutuclient batch retry RUN --resend-unknown`. What was made after all is then paid for a second time.",
      ]
      : ["Ask again: `tutuclient batch retry RUN`. Each costs one more answer at most."];
    byId("unknowns-do").replaceChildren(...steps.map((step) => make("li", {}, ...withCode(step))));
    byId("unknowns-list").textContent = items.length < count ? `The first ${number(items.length)} of them` : "List";
    onFirstOpening(byId("unknowns").querySelector("details"), () => table(
      ["Item", "Time", "Request id", "Task", "How it ended"],
      items.map((each) => [
        said("bdi", each.id), each.t ? moment(each.t, { dateStyle: "medium", timeStyle: "medium" }) : "", said("bdi", each.rid), said("bdi", each.task),
        make("span", {}, HOW_ENDED[each.end] ?? each.end, each.cls ? said("bdi", ` (${each.cls})`) : null),
      ]),
    ));
    const show = byId("unknowns-show");
    show.hidden = !run.counts.unknown;
    show.addEventListener("click", () => choose({ status: "unknown", cls: "", query: "" }));
  };

  // Advice is our own words; what stands in backticks is a command.
  const withCode = (text) => text.split("`").map((part, at) => (at % 2 ? make("code", {}, part) : part));

  const showFailures = () => {
    if (!run.failures.length) return;
    byId("failures").hidden = false;
    const most = run.failures[0].count;
    byId("classes").replaceChildren(...run.failures.map((each) => {
      const bar = make("span", { class: "class-bar", "aria-hidden": "true" });
      bar.style.width = `${Math.max((100 * each.count) / most, 0.5)}%`;
      const button = make("button", { type: "button", class: "quiet" }, "Show these", make("span", { class: "unseen" }, `: ${visible(each.cls)}`));
      button.addEventListener("click", () => choose({ status: "all", cls: each.cls, query: "" }));
      const told = [];
      if (each.statuses.length) told.push(`HTTP ${each.statuses.map(([status]) => status).join(", ")}`);
      if (each.outcomes.unknown) told.push(`${number(each.outcomes.unknown)} of unknown outcome`);
      if (each.outcomes.not_sent) told.push(`${number(each.outcomes.not_sent)} not sent`);
      if (each.outcomes.done) told.push(`${number(each.outcomes.done)} made and paid for`);
      return make("li", {},
        make("div", { class: "class-head" },
          make("h3", {}, said("bdi", each.cls)), make("span", { class: "class-count" }, number(each.count)), button),
        make("div", { class: "class-track" }, bar),
        make("p", { class: "advice" }, ...withCode(each.advice)),
        make("ul", { class: "messages" }, ...each.messages.map(([message, count]) =>
          make("li", {}, said("bdi", message), count > 1 ? make("span", { class: "times" }, ` ×${number(count)}`) : null))),
        told.length ? make("p", { class: "meta" }, told.join(" · ")) : null);
    }));
  };

  // --- Filter and search ---

  const showFilter = () => {
    byId("cards").dataset.task = run.task;
    const counts = { all: total(), ...run.counts };
    byId("statuses").append(...["all", ...STATUSES].map((status) => {
      const input = make("input", { type: "radio", name: "status", value: status });
      input.addEventListener("change", () => choose({ status }, false));
      const word = status[0].toUpperCase() + status.slice(1);
      return make("label", {}, input, make("span", {}, word, make("span", { class: "number" }, number(counts[status]))));
    }));
    const classes = [...new Set(run.kinds.map(([, cls]) => cls).filter(Boolean))].sort();
    if (classes.length) {
      byId("class-label").hidden = false;
      byId("class").append(make("option", { value: "" }, "Any"), ...classes.map((each) => make("option", { value: each }, visible(each))));
    }
    byId("class").addEventListener("change", (event) => choose({ cls: event.target.value }, false));
    let typing = 0;
    byId("search").addEventListener("input", (event) => {
      clearTimeout(typing);
      typing = setTimeout(() => choose({ query: event.target.value }, false), 150);
    });
    byId("filter").addEventListener("submit", (event) => event.preventDefault());
  };

  const readAddress = () => {
    const given = new URLSearchParams(location.hash.slice(1));
    view.status = STATUSES.includes(given.get("status")) ? given.get("status") : "all";
    view.cls = given.get("class") ?? "";
    view.query = given.get("q") ?? "";
    view.page = Math.max(0, Math.floor(Number(given.get("page")) || 1) - 1);
  };

  const writeAddress = () => {
    const kept = new URLSearchParams();
    if (view.status !== "all") kept.set("status", view.status);
    if (view.cls) kept.set("class", view.cls);
    if (view.query) kept.set("q", view.query);
    if (view.page) kept.set("page", String(view.page + 1));
    history.replaceState(null, "", `#${kept}`);
  };

  const choose = (change, jump = true) => {
    Object.assign(view, { page: 0 }, change);
    writeAddress();
    find();
    if (jump) byId("items").scrollIntoView();
  };

  const find = async () => {
    searching += 1;
    const mine = searching;
    for (const input of byId("statuses").querySelectorAll("input")) input.checked = input.value === view.status;
    byId("class").value = view.cls;
    if (byId("search").value !== view.query) byId("search").value = view.query;
    const wanted = run.kinds.map(([status, cls]) => (view.status === "all" || status === view.status) && (!view.cls || cls === view.cls));
    const terms = view.query.normalize("NFC").toLowerCase().split(/\s+/).filter(Boolean);
    found = [];
    let shown = false;
    for (let piece = 0; piece < run.codes.length; piece += 1) {
      const codes = run.codes[piece];
      const here = [];
      for (let at = 0; at < codes.length; at += 1) if (wanted[codes.charCodeAt(at) - 48]) here.push(at);
      if (terms.length && here.length) {
        let loaded;
        try {
          loaded = await load(piece);
        } catch (error) {
          if (mine === searching) byId("count").textContent = `The search stopped: ${error.message}.`;
          return;
        }
        if (mine !== searching) return;
        found.push(...here.filter((at) => terms.every((term) => haystack(loaded[at]).includes(term))).map((at) => piece * run.piece + at));
        if (!shown && found.length >= (view.page + 1) * PAGE) {
          shown = true;
          showPage(mine);
        }
        if (piece % 10 === 9) byId("count").textContent = `Searching: ${percent(piece, run.codes.length)}, ${number(found.length)} found so far`;
      } else if (!terms.length) {
        for (const at of here) found.push(piece * run.piece + at);
      }
    }
    view.page = Math.min(view.page, Math.max(0, Math.ceil(found.length / PAGE) - 1));
    if (shown) showBar();
    else await showPage(mine);
  };

  // --- A page of items ---

  const showBar = () => {
    const begin = view.page * PAGE;
    const end = Math.min(begin + PAGE, found.length);
    byId("count").textContent = found.length ? `${number(begin + 1)} to ${number(end)} of ${many(found.length, "item")}` : total() ? "No item is like that." : "There are no items yet.";
    const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
    for (const nav of document.querySelectorAll(".pager")) {
      nav.hidden = last === 0;
      const go = (page, words, label) => {
        const button = make("button", { type: "button", class: "quiet", "aria-label": label, disabled: page < 0 || page > last || page === view.page }, words);
        button.addEventListener("click", () => turn(page));
        return button;
      };
      const field = make("input", { type: "number", min: 1, max: last + 1, value: view.page + 1, "aria-label": `Page, of ${last + 1}` });
      field.addEventListener("change", () => turn(Math.min(Math.max(Math.floor(Number(field.value) || 1) - 1, 0), last)));
      nav.replaceChildren(
        go(0, "«", "First page"), go(view.page - 1, "‹", "Page before"),
        make("span", { class: "page-of" }, field, ` of ${number(last + 1)}`),
        go(view.page + 1, "›", "Next page"), go(last, "»", "Last page"),
      );
    }
  };

  const turn = async (page) => {
    if (page === view.page) return;
    view.page = page;
    writeAddress();
    await showPage(searching);
    byId("items").focus({ preventScroll: true });
    byId("items").scrollIntoView();
  };

  const showPage = async (mine) => {
    const numbers = found.slice(view.page * PAGE, (view.page + 1) * PAGE);
    showBar();
    try {
      const shown = await rowsOf(numbers);
      if (mine !== searching) return;
      const cards = byId("cards");
      cards.replaceChildren(...shown.map((row, at) => card(row, numbers[at], at)));
      // Where there is nothing to see, the words that say so take little room.
      cards.toggleAttribute("data-bare", !cards.querySelector("img"));
    } catch (error) {
      byId("count").textContent = `The items cannot be shown: ${error.message}.`;
    }
  };

  const thumbnail = (name, alt, lazy = true) => {
    if (!name) return null;
    if (name.startsWith("!")) return make("span", { class: "none" }, NO_THUMBNAIL[name] ?? "No thumbnail");
    const image = make("img", { alt, decoding: "async", loading: lazy ? "lazy" : "eager" });
    image.addEventListener("error", () => image.replaceWith(make("span", { class: "none" }, "The thumbnail is not there")));
    image.src = `thumbs/${name.slice(0, 2)}/${name}.webp`;
    return image;
  };

  // Before and after, side by side. A card shows two images at most, and says of how many the second is.
  const pictures = (row, whole) => {
    const made = row.n ?? [];
    const edits = run.task === "edit";
    const word = edits ? "After" : "Made";
    const frames = [];
    const frame = (image, words, link) => {
      const shown = link ? make("a", { href: link, target: "_blank", rel: "noopener", title: "Open the whole image" }, image) : image;
      frames.push(make("span", { class: "frame" }, shown, words ? make("span", { class: "frame-name" }, words) : null));
    };
    if (row.b) frame(thumbnail(row.b, edits ? "Before" : "The image that was sent", !whole), edits ? "Before" : "");
    const kept = whole ? made : made.slice(0, row.b ? 1 : 2);
    kept.forEach(([file, thumb], at) => {
      const place = made.length > 1 ? `${word} ${at + 1}${kept.length < made.length ? ` of ${made.length}` : ""}` : word;
      frame(thumbnail(thumb, place, !whole), edits || made.length > 1 ? place : "", whole && linkTo(file));
    });
    if (run.task !== "ask" && !made.length) frame(make("span", { class: "none" }, "No image"), edits ? word : "");
    return frames.length ? make("div", { class: "pictures", "data-frames": frames.length > 1 ? "several" : "one" }, ...frames) : null;
  };

  // Only what browsers show as an image, and only below the run's own folder.
  const linkTo = (file) => (run.images_at && /\.(png|jpe?g|webp|gif|avif|bmp)$/i.test(file) ? run.images_at + encodeURIComponent(file) : "");

  const MOST_FIELDS = 6;

  const answer = (value, whole) => {
    if (value === undefined) return null;
    if (typeof value === "string") {
      // Of an order, the address of an image that is shown already is of use to few.
      const kept = whole || run.task === "ask" ? value : value.replace(/!\[[^\]]*\]\([^)]*\)/g, "").trim();
      if (value.trim()) return kept ? said("p", kept, { class: "answer" }) : null;
      return run.task === "ask" ? make("p", { class: "answer empty" }, "The answer is empty.") : null;
    }
    if (value === null || typeof value !== "object") return said("p", JSON.stringify(value), { class: "answer" });
    const shown = (each) => (typeof each === "string" ? each : Array.isArray(each) && each.every((one) => typeof one !== "object") ? each.join(", ") : JSON.stringify(each, null, whole ? 2 : undefined));
    if (Array.isArray(value) && value.every((each) => typeof each !== "object")) return said("p", value.join(", ") || "[]", { class: "answer" });
    const entries = Object.entries(value);
    if (!entries.length) return make("p", { class: "answer" }, JSON.stringify(value));
    const kept = whole ? entries : entries.slice(0, MOST_FIELDS);
    return make("dl", { class: "answer fields" },
      ...kept.map(([name, each]) => make("div", {}, said("dt", name), said("dd", shown(each)))),
      kept.length < entries.length ? make("div", {}, make("dt", {}, `${entries.length - kept.length} more`)) : null);
  };

  const trouble = (row) => {
    const [status, cls] = run.kinds[row.k];
    if (status === "answered") return null;
    const open = row.task ? "Answered with a task; its image was not fetched yet" : "Sent, and no end was written";
    const name = row.c || cls || open;
    return make("div", { class: "trouble", "data-status": status },
      make("p", { class: "trouble-name" }, make("span", { "aria-hidden": "true" }, ICONS[status]), make("span", { class: "unseen" }, `${status}: `), said("bdi", name), row.st ? ` ${row.st}` : ""),
      row.e ? said("p", row.e, { class: "trouble-text" }) : null);
  };

  const brief = (row) => {
    const told = [];
    if (row.d) told.push(seconds(row.d));
    if (row.i || row.o) told.push(`${number((row.i ?? 0) + (row.o ?? 0))} tokens`);
    if (row.a > 1) told.push(`${row.a} attempts`);
    if (row.f && row.f !== "stop") told.push(said("bdi", row.f, { class: row.f === "length" ? "warn" : null }));
    return told.flatMap((each, at) => (at ? [" · ", each] : [each]));
  };

  const card = (row, rowNumber, place) => {
    const [folder, name] = nameParts(row.id);
    const button = make("button", { type: "button", class: "open", title: visible(row.id) }, said("bdi", name || folder));
    button.addEventListener("click", () => open(place));
    return make("li", { class: "card", "data-status": run.kinds[row.k][0] },
      pictures(row, false),
      make("div", { class: "card-body" },
        make("h3", { class: "card-name" }, button),
        name && folder ? said("p", folder, { class: "card-folder" }) : null,
        trouble(row),
        answer(row.x, false),
        make("p", { class: "meta card-meta" }, make("span", {}, ...brief(row)), make("span", { class: "row-number" }, `#${number(rowNumber + 1)}`))));
  };

  // --- One item ---

  const open = async (place) => {
    const rowNumber = found[view.page * PAGE + place];
    if (rowNumber === undefined) return;
    const [row] = await rowsOf([rowNumber]);
    opened = place;
    const last = Math.min(PAGE, found.length - view.page * PAGE) - 1;
    byId("detail-title").replaceChildren(said("bdi", row.id));
    byId("detail-before").disabled = place === 0;
    byId("detail-after").disabled = place === last;
    const facts = [
      ["Row", number(rowNumber + 1)], ["Written", row.t && moment(row.t, { dateStyle: "medium", timeStyle: "medium" })],
      ["Time", row.d && seconds(row.d)], ["Attempts", row.a], ["Tokens in", row.i], ["Tokens out", row.o],
      ["Finish reason", row.f], ["Model", row.m], ["HTTP status", row.st], ["Outcome", row.oc], ["Request id", row.r], ["Task", row.task],
      ["Images", (row.n ?? []).map(([file]) => file).join("\n")],
    ].filter(([, value]) => value !== undefined && value !== "" && value !== 0);
    byId("detail-body").replaceChildren(
      ...[pictures(row, true), trouble(row), answer(row.x, true),
        make("dl", { class: "facts-list" }, ...facts.map(([name, value]) =>
          make("div", { class: String(value).length > 24 ? "long" : null }, make("dt", {}, name), said("dd", value))))].filter(Boolean),
    );
    const dialog = byId("detail");
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  };

  const listenToDialog = () => {
    const dialog = byId("detail");
    byId("detail-close").addEventListener("click", () => dialog.close());
    byId("detail-before").addEventListener("click", () => open(opened - 1));
    byId("detail-after").addEventListener("click", () => open(opened + 1));
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft" && !byId("detail-before").disabled) open(opened - 1);
      if (event.key === "ArrowRight" && !byId("detail-after").disabled) open(opened + 1);
    });
    dialog.addEventListener("close", () => byId("cards").children[opened]?.querySelector(".open")?.focus());
  };

  // Called by data/summary.js.
  const summary = (text) => {
    run = JSON.parse(text);
    showHead();
    showNotices();
    showFigures();
    showThroughput();
    showLatency();
    showUnknowns();
    showFailures();
    showFilter();
    listenToDialog();
    readAddress();
    addEventListener("hashchange", () => { readAddress(); find(); });
    find();
  };

  return { rows, summary };
})();
