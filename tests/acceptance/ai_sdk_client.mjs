// The AI SDK with @ai-sdk/openai-compatible, which OpenCode is built on: questions in, what it made of the answers out, a line of JSON each.

import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const from = createRequire(process.argv[2] + "/");
const load = (name) => import(pathToFileURL(from.resolve(name)).href);
const { generateText, jsonSchema, streamText, tool } = await load("ai");
const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");

const tools = (offered) =>
  Object.fromEntries(offered.map(({ function: f }) => [f.name, tool({ description: "", inputSchema: jsonSchema(f.parameters) })]));

const told = (error) => ({ error: String(error?.message ?? error), status: error?.statusCode ?? null });

async function ask(question) {
  const provider = createOpenAICompatible({ name: "bridge", baseURL: question.url, apiKey: "x", includeUsage: true });
  const asked = {
    model: provider(question.model),
    messages: [{ role: "user", content: question.name }],
    tools: tools(question.tools),
    maxRetries: 0,
    providerOptions: { bridge: question.asked },
    onError: () => {},
  };
  if (!question.streamed) {
    const { text, reasoningText, toolCalls, finishReason, usage } = await generateText(asked);
    return {
      text,
      thoughts: reasoningText ?? "",
      calls: toolCalls.map((call) => [call.toolName, call.input]),
      finish: finishReason,
      usage: [usage.inputTokens, usage.outputTokens],
    };
  }
  const made = { text: "", thoughts: "", calls: [], finish: null, usage: null };
  for await (const part of streamText(asked).fullStream) {
    if (part.type === "text-delta") made.text += part.text;
    if (part.type === "reasoning-delta") made.thoughts += part.text;
    if (part.type === "tool-call" && !part.invalid) made.calls.push([part.toolName, part.input]);
    if (part.type === "error") Object.assign(made, told(part.error));
    if (part.type === "finish") {
      made.finish = part.finishReason;
      made.usage = [part.totalUsage.inputTokens, part.totalUsage.outputTokens];
    }
  }
  return made;
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await ask(JSON.parse(line)).catch(told)));
}
