// What useChat does with an endpoint of ours, without React: its transport checks every part by the SDK's own schema,
// and its reader makes one message of them.
import { DefaultChatTransport, readUIMessageStream } from "ai";

import { answerLines } from "./lines.mjs";

const pages = {
  async chat({ base_url, fields: { text, leave } }) {
    const leaving = new AbortController();
    const stream = await new DefaultChatTransport({ api: `${base_url}/chat` }).sendMessages({
      chatId: "one",
      trigger: "submit-message",
      messages: [{ id: "1", role: "user", parts: [{ type: "text", text }] }],
      abortSignal: leaving.signal,
    });
    const kinds = [];
    const errors = [];
    const parts = stream.pipeThrough(
      new TransformStream({
        transform(part, out) {
          kinds.push(part.type);
          if (part.type === "error") errors.push(part.errorText);
          out.enqueue(part);
        },
      }),
    );
    let message;
    try {
      for await (message of readUIMessageStream({ stream: parts })) if (leave && message.parts.length > 1) leaving.abort();
    } catch (error) {
      errors.push(error.name);
    }
    return { message, kinds, errors };
  },
};

await answerLines(pages, (error) => ({ message: error.message }));
