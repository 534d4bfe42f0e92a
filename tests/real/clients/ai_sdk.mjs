// Vercel's AI SDK with `@ai-sdk/openai-compatible`, which checks every answer and every chunk against a schema.
import { readFile } from "node:fs/promises";

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  APICallError,
  embedMany,
  generateImage,
  generateText,
  jsonSchema,
  Output,
  stepCountIs,
  streamText,
  tool,
} from "ai";

import { answerLines, sha256 } from "./lines.mjs";

const open = ({ base_url, key }) =>
  createOpenAICompatible({
    name: "relay",
    baseURL: base_url,
    apiKey: key,
    includeUsage: true,
    supportsStructuredOutputs: true,
  });
const REASONS = { stop: "stop", length: "length", "tool-calls": "tool_calls", "content-filter": "content_filter" };
const counted = ({ inputTokens, outputTokens, totalTokens }) => [inputTokens, outputTokens, totalTokens];
const called = (calls) => calls.map((call) => ({ name: call.toolName, arguments: call.input }));

// The SDK has words of its own for what is asked, too.
function asked({ base_url, key, fields }) {
  const { model, messages, prompt, max_tokens, tools, response_format, results, stream_options, ...others } = fields;
  const schema = response_format?.json_schema?.schema;
  return {
    model: prompt === undefined ? open({ base_url, key }).chatModel(model) : open({ base_url, key }).completionModel(model),
    ...(prompt === undefined ? { messages: messages.map(translated) } : { prompt }),
    maxRetries: 0,
    ...(max_tokens && { maxOutputTokens: max_tokens }),
    ...(schema && { output: Output.object({ schema: jsonSchema(schema) }) }),
    ...(tools && {
      tools: Object.fromEntries(
        tools.map(({ function: { name, description, parameters } }) => [
          name,
          tool({
            description,
            inputSchema: jsonSchema(parameters),
            ...(results && { execute: async () => results[name] }),
          }),
        ]),
      ),
    }),
    ...(results && { stopWhen: stepCountIs(5) }),
    providerOptions: { relay: others },
  };
}

function translated({ role, content }) {
  if (typeof content === "string") return { role, content };
  const parts = {
    text: ({ text }) => ({ type: "text", text }),
    image_url: ({ image_url: { url } }) => ({ type: "image", image: url }),
    input_audio: ({ input_audio: { data, format } }) => ({ type: "file", mediaType: `audio/${format}`, data }),
  };
  return { role, content: content.map((part) => parts[part.type](part)) };
}

// It makes a conversation of a prompt, which the relay's stand-in quotes; so tokens and their counts are others, too.
const undressed = (text, { fields }) => text.replace(`user:\n${fields.prompt}\n\nassistant:\n`, fields.prompt);

const said = ({ text, finishReason, toolCalls, usage, response }) => ({
  ...(response.modelId && { model: response.modelId }),
  text,
  finish_reason: REASONS[finishReason] ?? finishReason,
  calls: called(toolCalls),
  usage: counted(usage),
});

async function streamed(question) {
  const failures = [];
  const result = streamText({ ...asked(question), onError: ({ error }) => failures.push(error) });
  const pieces = [];
  for await (const part of result.fullStream) if (part.type === "text-delta") pieces.push(part.text);
  if (failures.length) throw failures[0];
  const [text, finishReason, toolCalls, usage, response] = await Promise.all([
    result.text,
    result.finishReason,
    result.toolCalls,
    result.usage,
    result.response,
  ]);
  return { pieces, ...said({ text, finishReason, toolCalls, usage, response }) };
}

async function drawn(question, files) {
  const { model, prompt, n, size } = question.fields;
  const { images } = await generateImage({
    model: open(question).imageModel(model),
    prompt: files ? { text: prompt, ...files } : prompt,
    n,
    size,
    maxRetries: 0,
  });
  return { pictures: images.map((each) => sha256(each.uint8Array)) };
}

const pages = {
  chat: async (question) => said(await generateText(asked(question))),
  stream: streamed,
  async left(question) {
    const leaving = new AbortController();
    for await (const text of streamText({ ...asked(question), abortSignal: leaving.signal }).textStream) {
      leaving.abort();
      return { text };
    }
    return {};
  },
  async tool_round(question) {
    const { text, steps } = await generateText(asked(question));
    return { text, calls: steps.flatMap((step) => called(step.toolCalls)) };
  },
  async object(question) {
    const result = await generateText(asked(question));
    const { text, ...rest } = said(result);
    return { object: result.output, ...rest };
  },
  async thinking(question) {
    const { text, reasoningText } = await generateText(asked(question));
    return { text, thinking: reasoningText };
  },
  async completion(question) {
    const { text, finish_reason } = said(await generateText(asked(question)));
    return { text: undressed(text, question), finish_reason };
  },
  async completion_stream(question) {
    const { text, finish_reason } = await streamed(question);
    return { text: undressed(text, question), finish_reason };
  },
  async embeddings(question) {
    const { model, input } = question.fields;
    const { embeddings, usage } = await embedMany({
      model: open(question).embeddingModel(model),
      values: [input].flat(),
      maxRetries: 0,
    });
    return { vectors: embeddings, prompt_tokens: usage.tokens };
  },
  image: (question) => drawn(question),
  async image_edit(question) {
    const { image, mask } = question.fields;
    return drawn(question, { images: [await readFile(image)], ...(mask && { mask: await readFile(mask) }) });
  },
};

await answerLines(pages, (error) =>
  APICallError.isInstance(error)
    ? { status: error.statusCode, code: JSON.parse(error.responseBody ?? "{}").error?.code ?? null }
    : null,
);
