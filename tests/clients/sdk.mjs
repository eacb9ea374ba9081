// One call of the TypeScript SDK, named by the first argument; prints what it got as JSON.
// ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY come from the environment, as the SDK reads them; so does HTTPS_PROXY:
// Node honours it with NODE_USE_ENV_PROXY=1 from version 24 on, older ones need a ProxyAgent.
import Anthropic from "@anthropic-ai/sdk";
import { ProxyAgent } from "undici";

const major = Number(process.versions.node.split(".")[0]);
const proxy = process.env.HTTPS_PROXY;
const fetchOptions = proxy && major < 24 ? { dispatcher: new ProxyAgent(proxy) } : undefined;
const client = new Anthropic({ maxRetries: 0, timeout: 30_000, fetchOptions });

const model = "claude-opus-4-5";
const messages = [{ role: "user", content: "hello" }];
const weather = {
  name: "weather",
  description: "The weather in a city",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

const calls = {
  message: () => client.messages.create({ model, max_tokens: 100, messages }),

  async stream() {
    const stream = client.messages.stream({ model: `${model}+events=100`, max_tokens: 2000, messages });
    let text = "";
    let deltas = 0;
    stream.on("text", (part) => {
      text += part;
      deltas += 1;
    });
    return { final: await stream.finalMessage(), text, deltas };
  },

  async raw() {
    const { data, response } = await client.messages.create({ model, max_tokens: 100, messages }).withResponse();
    return { status: response.status, requestId: response.headers.get("request-id"), data };
  },

  count: () => client.messages.countTokens({ model, messages }),

  async models() {
    const ids = [];
    for await (const found of client.models.list({ limit: 20 })) ids.push(found.id);
    return ids;
  },

  async tool() {
    const tool_choice = { type: "tool", name: "weather" };
    const first = await client.messages.create({ model, max_tokens: 200, messages, tools: [weather], tool_choice });
    const use = first.content.find((block) => block.type === "tool_use");
    const result = { type: "tool_result", tool_use_id: use.id, content: "rain in Ghent" };
    const turns = [...messages, { role: "assistant", content: first.content }, { role: "user", content: [result] }];
    const second = await client.messages.create({ model, max_tokens: 200, messages: turns, tools: [weather] });
    return { first, second };
  },

  async error() {
    try {
      return await client.messages.create({ model, max_tokens: 100, messages });
    } catch (error) {
      return { name: error.constructor.name, status: error.status, body: error.error };
    }
  },
};

console.log(JSON.stringify(await calls[process.argv[2]]()));
