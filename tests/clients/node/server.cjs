// A server process with the starter model, and a client of it.
"use strict";

const { spawn } = require("node:child_process");
const { once } = require("node:events");
const readline = require("node:readline");
const OpenAI = require("openai").default;

/** The name that the tests use for the model. */
const MODEL = "starter";

/** Milliseconds after which something that should have happened long ago is taken to never happen. */
const TIMEOUT = 120_000;

function named(variable) {
  const value = process.env[variable];
  if (!value) {
    throw new Error(`${variable} is not set: \`cargo xtask test --only clients\` sets it`);
  }
  return value;
}

/** Starts `mlxm serve` on a free port; `stop` ends it, which must go well. */
async function start() {
  const environment = { ...process.env };
  delete environment.MLXM_API_KEY;
  const options = ["--port", "0", "--json", "--exit-with-parent", "--context", "2048", "--alias", MODEL];
  const child = spawn(named("MLXM_BIN"), ["serve", "--model", named("MLXM_STARTER_MODEL"), ...options], {
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (text) => (log += text));
  const exited = once(child, "exit");
  const ready = await Promise.race([once(readline.createInterface(child.stdout), "line"), exited.then(() => null)]);
  if (!ready) {
    throw new Error(`the server did not start:\n${log}`);
  }
  const { url } = JSON.parse(ready[0]);
  return {
    url,
    // It does not try again, so that no failure is hidden.
    client: new OpenAI({ baseURL: `${url}/v1`, apiKey: "unused", maxRetries: 0 }),
    async stop() {
      child.kill("SIGTERM");
      const [code] = await exited;
      if (code !== 0) {
        throw new Error(`the server ended with ${code}:\n${log}`);
      }
    },
    /** A value of `/metrics` without labels. */
    async metric(name) {
      const text = await (await fetch(`${url}/metrics`)).text();
      const found = new RegExp(`^${name} (\\S+)$`, "m").exec(text);
      if (!found) {
        throw new Error(`/metrics has no ${name}:\n${text}`);
      }
      return Number(found[1]);
    },
  };
}

/** Waits for a condition that a healthy server fulfils at some time. */
async function waitUntil(what, condition) {
  const deadline = Date.now() + TIMEOUT;
  while (!(await condition())) {
    if (Date.now() > deadline) {
      throw new Error(`waited ${TIMEOUT} ms for: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

module.exports = { MODEL, start, waitUntil };
