// A question is a line of JSON on stdin, its answer a line on stdout: {"page", "base_url", "key", "fields"} in, what the
// page's reader makes of the client's answer out. Both clients speak so, and neither knows the other.
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";

export const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** Answer every line by the page it names; what `refusal` knows how to read is an answer too. */
export async function answerLines(pages, refusal) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { page, ...question } = JSON.parse(line);
    let answer;
    try {
      answer = await pages[page](question);
    } catch (error) {
      answer = { error: refusal(error) ?? { unexpected: error.stack ?? String(error) } };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}
