// The npm package `openai`, used as its README does.
import { createReadStream } from "node:fs";

import OpenAI from "openai";

import { answerLines, sha256 } from "./lines.mjs";

const open = ({ base_url, key }) => new OpenAI({ baseURL: base_url, apiKey: key, maxRetries: 0 });
const counted = (usage) => usage && [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens];
const called = (calls) =>
  (calls ?? []).map((call) => ({ name: call.function.name, arguments: JSON.parse(call.function.arguments) }));

function message(completion) {
  const [choice] = completion.choices;
  return {
    model: completion.model,
    text: choice.message.content ?? "",
    finish_reason: choice.finish_reason,
    calls: called(choice.message.tool_calls),
    usage: counted(completion.usage),
  };
}

async function streamed(question) {
  const pieces = [];
  const stream = open(question).chat.completions.stream(question.fields);
  stream.on("content", (piece) => piece && pieces.push(piece));
  return { pieces, ...message(await stream.finalChatCompletion()) };
}

async function toolRound({ fields, ...question }) {
  const { results, ...body } = fields;
  const calls = [];
  const tools = body.tools.map(({ function: { name, parameters } }) => ({
    type: "function",
    function: {
      name,
      parameters,
      parse: JSON.parse,
      function: (given) => {
        calls.push({ name, arguments: given });
        return results[name];
      },
    },
  }));
  const runner = open(question).chat.completions.runTools({ ...body, tools });
  return { text: await runner.finalContent(), calls };
}

async function completionStreamed(question) {
  const pieces = [];
  let usage, finish_reason;
  for await (const chunk of await open(question).completions.create({ ...question.fields, stream: true })) {
    usage = chunk.usage ?? usage;
    for (const choice of chunk.choices) {
      if (choice.text) pieces.push(choice.text);
      finish_reason = choice.finish_reason ?? finish_reason;
    }
  }
  return { pieces, text: pieces.join(""), finish_reason, usage: counted(usage) };
}

const pictures = ({ data }) => ({ pictures: data.map((each) => sha256(Buffer.from(each.b64_json, "base64"))) });
const withFiles = (fields, ...names) => ({
  ...fields,
  ...Object.fromEntries(names.filter((name) => name in fields).map((name) => [name, createReadStream(fields[name])])),
});

const pages = {
  async models(question) {
    const page = await open(question).models.list();
    return { ids: page.data.map((model) => model.id) };
  },
  async model(question) {
    const { id, object, owned_by } = await open(question).models.retrieve(question.fields.model);
    return { id, object, owned_by };
  },
  chat: async (question) => message(await open(question).chat.completions.create(question.fields)),
  stream: streamed,
  async left(question) {
    for await (const { choices } of await open(question).chat.completions.create({ ...question.fields, stream: true }))
      if (choices[0].delta.content) return { text: choices[0].delta.content };
    return {};
  },
  tool_round: toolRound,
  async object(question) {
    const { text, ...rest } = message(await open(question).chat.completions.parse(question.fields));
    return { object: JSON.parse(text), ...rest };
  },
  async thinking(question) {
    const [{ message }] = (await open(question).chat.completions.create(question.fields)).choices;
    return { text: message.content, thinking: message.reasoning_content };
  },
  async choices(question) {
    const { choices, usage } = await open(question).chat.completions.create(question.fields);
    return {
      texts: choices.map((choice) => choice.message.content),
      tokens: choices.map((choice) => choice.logprobs.content.map((each) => each.token)),
      usage: counted(usage),
    };
  },
  async spoken(question) {
    const { audio } = (await open(question).chat.completions.create(question.fields)).choices[0].message;
    return { transcript: audio.transcript, sound: sha256(Buffer.from(audio.data, "base64")) };
  },
  async completion(question) {
    const completion = await open(question).completions.create(question.fields);
    const [{ text, finish_reason }] = completion.choices;
    return { text, finish_reason, usage: counted(completion.usage) };
  },
  completion_stream: completionStreamed,
  async embeddings(question) {
    const { data, usage } = await open(question).embeddings.create(question.fields);
    return { vectors: data.map((each) => each.embedding), prompt_tokens: usage.prompt_tokens };
  },
  image: async (question) => pictures(await open(question).images.generate(question.fields)),
  async image_stream(question) {
    const events = [];
    for await (const event of await open(question).images.generate({ ...question.fields, stream: true })) events.push(event);
    return {
      types: events.map((event) => event.type),
      pictures: events.map((event) => sha256(Buffer.from(event.b64_json, "base64"))),
      tokens: events.at(-1).usage.total_tokens,
    };
  },
  image_edit: async (question) => pictures(await open(question).images.edit(withFiles(question.fields, "image", "mask"))),
  image_variation: async (question) =>
    pictures(await open(question).images.createVariation(withFiles(question.fields, "image"))),
  async speech(question) {
    const response = await open(question).audio.speech.create(question.fields);
    return { sound: sha256(Buffer.from(await response.arrayBuffer())), type: response.headers.get("content-type") };
  },
  async transcription(question) {
    const heard = await open(question).audio.transcriptions.create(withFiles(question.fields, "file"));
    return typeof heard === "string" ? { text: heard.replace(/\n$/, "") } : heard;
  },
  async transcription_stream(question) {
    const fields = { ...withFiles(question.fields, "file"), stream: true };
    const pieces = [];
    let text;
    for await (const event of await open(question).audio.transcriptions.create(fields)) {
      if (event.type === "transcript.text.delta") pieces.push(event.delta);
      if (event.type === "transcript.text.done") text = event.text;
    }
    return { pieces, text };
  },
  async translation(question) {
    const heard = await open(question).audio.translations.create(withFiles(question.fields, "file"));
    return { text: heard.text };
  },
};

await answerLines(pages, (error) =>
  error instanceof OpenAI.APIError ? { status: error.status, code: error.code ?? null } : null,
);
