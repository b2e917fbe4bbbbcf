// Tests of the openai npm package against a running server.
"use strict";

const assert = require("node:assert/strict");
const { after, before, test } = require("node:test");
const OpenAI = require("openai").default;
const { zodResponseFormat } = require("openai/helpers/zod");
const { z } = require("zod");
const { MODEL, start, waitUntil } = require("./server.cjs");

const question = [{ role: "user", content: "What is the capital of France? Answer in one sentence." }];
const story = [{ role: "user", content: "Tell me a story about a lighthouse." }];
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather of a city.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};

let server;
let client;

before(async () => {
  server = await start();
  client = server.client;
});

after(async () => server.stop());

function chat(more) {
  return client.chat.completions.create({ model: MODEL, messages: question, temperature: 0, max_tokens: 40, ...more });
}

test("chat completion has content, usage and finish reason", async () => {
  const completion = await chat();
  assert.equal(completion.object, "chat.completion");
  assert.match(completion.choices[0].message.content, /Paris/);
  assert.equal(completion.choices[0].finish_reason, "stop");
  assert.equal(completion.usage.total_tokens, completion.usage.prompt_tokens + completion.usage.completion_tokens);
});

test("temperature 0 is greedy and a seed reproduces a completion", async () => {
  const text = async (more) => (await chat({ messages: story, max_tokens: 24, ...more })).choices[0].message.content;
  assert.equal(await text(), await text());
  const seeded = { temperature: 1.5, seed: 5 };
  assert.equal(await text(seeded), await text(seeded));
});

test("n returns different choices", async () => {
  const completion = await chat({ messages: story, n: 2, temperature: 1.5, seed: 1, max_tokens: 16 });
  const texts = completion.choices.map((choice) => choice.message.content);
  assert.equal(new Set(texts).size, 2);
});

test("stop string ends the completion and is removed", async () => {
  const whole = (await chat()).choices[0].message.content;
  const completion = await chat({ stop: ["France"] });
  assert.equal(completion.choices[0].message.content, whole.split("France")[0]);
  assert.equal(completion.choices[0].finish_reason, "stop");
});

test("stream has the content of the completion, and usage in its last chunk", async () => {
  const whole = await chat();
  let text = "";
  const chunks = [];
  for await (const chunk of await chat({ stream: true, stream_options: { include_usage: true } })) {
    text += chunk.choices[0]?.delta?.content ?? "";
    chunks.push(chunk);
  }
  assert.ok(chunks.length > 3);
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(chunks.at(-2).choices[0].finish_reason, "stop");
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.equal(chunks.at(-1).usage.completion_tokens, whole.usage.completion_tokens);
});

test("stream helper accumulates the completion", async () => {
  const whole = await chat();
  const stream = client.chat.completions.stream({ model: MODEL, messages: question, temperature: 0, max_tokens: 40 });
  assert.equal(await stream.finalContent(), whole.choices[0].message.content);
  assert.equal((await stream.finalChatCompletion()).choices[0].finish_reason, "stop");
});

test("logprobs have an entry for each token", async () => {
  const { choices } = await chat({ max_tokens: 4, logprobs: true, top_logprobs: 2 });
  const entries = choices[0].logprobs.content;
  assert.equal(entries.length, 4);
  assert.equal(Buffer.concat(entries.map((entry) => Buffer.from(entry.bytes))).toString(), choices[0].message.content);
  for (const entry of entries) {
    assert.equal(entry.top_logprobs.length, 2);
    assert.equal(entry.logprob, entry.top_logprobs[0].logprob);
  }
});

test("tool choice auto returns text or a valid call", async () => {
  const { choices } = await chat({
    messages: [{ role: "user", content: "What is the weather in Rome?" }],
    tools: [weather],
    tool_choice: "auto",
    max_tokens: 48,
  });
  for (const call of choices[0].message.tool_calls ?? []) {
    assert.equal(call.function.name, "get_weather");
  }
  assert.ok(choices[0].message.content || choices[0].message.tool_calls.length > 0);
});

test("required tool choice forces a valid call", async () => {
  const { choices } = await chat({
    tools: [
      {
        type: "function",
        function: {
          name: "get_weather",
          parameters: { type: "object", properties: { city: { enum: ["Rome", "Oslo"] } }, required: ["city"] },
        },
      },
    ],
    tool_choice: "required",
    parallel_tool_calls: false,
    max_tokens: 200,
  });
  assert.equal(choices[0].finish_reason, "tool_calls");
  const { name, arguments: given } = choices[0].message.tool_calls[0].function;
  assert.equal(name, "get_weather");
  assert.ok(["Rome", "Oslo"].includes(JSON.parse(given).city));
});

test("completion matches a zod schema", async () => {
  const place = z.object({ country: z.enum(["France", "Italy"]), capital: z.boolean() });
  const completion = await client.chat.completions.parse({
    model: MODEL,
    messages: question,
    temperature: 0,
    max_tokens: 100,
    response_format: zodResponseFormat(place, "place"),
  });
  assert.equal(completion.choices[0].finish_reason, "stop");
  assert.ok(["France", "Italy"].includes(completion.choices[0].message.parsed.country));
});

test("text completion continues the prompt", async () => {
  const completion = await client.completions.create({
    model: MODEL,
    prompt: "The capital of France is",
    temperature: 0,
    max_tokens: 8,
  });
  assert.match(completion.choices[0].text, /Paris/);
});

test("response can be continued, retrieved and deleted", async () => {
  const first = await client.responses.create({
    model: MODEL,
    input: question[0].content,
    temperature: 0,
    max_output_tokens: 40,
  });
  assert.equal(first.status, "completed");
  assert.match(first.output_text, /Paris/);
  let text = "";
  const stream = await client.responses.create({
    model: MODEL,
    input: "And of Italy?",
    previous_response_id: first.id,
    temperature: 0,
    max_output_tokens: 16,
    stream: true,
  });
  let last;
  for await (const event of stream) {
    text += event.type === "response.output_text.delta" ? event.delta : "";
    last = event;
  }
  assert.match(last.type, /^response\.(completed|incomplete)$/);
  assert.equal(last.response.output[0].content[0].text, text);
  assert.equal((await client.responses.retrieve(first.id)).output_text, first.output_text);
  await client.responses.delete(first.id);
  await assert.rejects(client.responses.retrieve(first.id), OpenAI.NotFoundError);
});

test("models are listed and found by name", async () => {
  const listed = [];
  for await (const model of client.models.list()) {
    listed.push(model.id);
  }
  assert.ok(listed.includes(MODEL), String(listed));
  assert.equal((await client.models.retrieve(MODEL)).id, MODEL);
  await assert.rejects(client.models.retrieve("unknown"), OpenAI.NotFoundError);
});

test("errors have the type, code and parameter of the API", async () => {
  await assert.rejects(chat({ model: "someone-else" }), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, "model_not_found");
    return true;
  });
  await assert.rejects(chat({ temperature: -1 }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, "temperature");
    assert.ok(error.requestID);
    return true;
  });
  await assert.rejects(client.embeddings.create({ model: MODEL, input: "text" }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.match(error.message, /require an embedding model/);
    return true;
  });
});

test("closing a stream cancels its generation", async () => {
  const aborted = () => server.metric("mlxm_requests_aborted_total");
  const idle = async () => (await server.metric("mlxm_num_requests_running")) === 0;
  await waitUntil("the server is idle", idle);
  const earlier = await aborted();
  const stream = await chat({ messages: story, max_tokens: 1900, stream: true, ignore_eos: true });
  for await (const chunk of stream) {
    if (chunk.choices[0].delta.content) {
      break;
    }
  }
  await waitUntil("the request is aborted", async () => (await aborted()) === earlier + 1);
  await waitUntil("the server is idle", idle);
});

test("second turn reuses the cached prefix", async () => {
  const words = Array.from({ length: 60 }, (_, number) => `thing${number}`).join(", ");
  const messages = [{ role: "user", content: `Remember these: ${words}. Say hello.` }];
  const first = await chat({ messages, max_tokens: 16 });
  messages.push(first.choices[0].message, { role: "user", content: "And now say goodbye." });
  const { usage } = await chat({ messages, max_tokens: 4 });
  assert.ok(usage.prompt_tokens_details.cached_tokens > first.usage.prompt_tokens * 0.8);
});
