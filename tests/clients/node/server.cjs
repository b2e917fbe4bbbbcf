// A server process, and a client for it.
"use strict";

const { spawn } = require("node:child_process");
const { once } = require("node:events");
const path = require("node:path");
const readline = require("node:readline");
const OpenAI = require("openai").default;

/** Model name used by the tests. */
const MODEL = "starter";

/** Milliseconds to wait for a condition. */
const TIMEOUT = 120_000;

function requiredVariable(variable) {
  const value = process.env[variable];
  if (!value) {
    throw new Error(`${variable} is not set: \`cargo xtask test --only clients\` sets it`);
  }
  return value;
}

/** Starts `mlxm serve` on a free port, by default with the starter model. */
function start(model = requiredVariable("MLXM_STARTER_MODEL"), more = ["--context-length", "2048"]) {
  const environment = { ...process.env };
  delete environment.MLXM_API_KEY;
  return spawned(["--model", model, "--exit-with-parent", "--alias", MODEL, ...more], environment);
}

/** Starts a gateway with a home directory of its own, on a free port. Its models are those in `models` there. */
function startGateway(home) {
  const foreign = /^(MLXM_|HF_|HUGGING|TRANSFORMERS_|DATABASE_URL)/;
  const kept = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  const own = { MLXM_HOME: home, HF_HOME: path.join(home, "hub"), HF_HUB_OFFLINE: "1" };
  return spawned([], { ...Object.fromEntries(kept), ...own });
}

/** Starts `mlxm serve` and waits until it is ready. `stop` terminates it and checks its exit code. */
async function spawned(more, environment) {
  const child = spawn(requiredVariable("MLXM_BIN"), ["serve", "--port", "0", "--json", ...more], {
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (text) => (log += text));
  const exited = once(child, "exit");
  let url;
  for await (const line of readline.createInterface(child.stdout)) {
    const event = JSON.parse(line);
    if (event.event === "ready") {
      ({ url } = event);
      break;
    }
  }
  if (!url) {
    throw new Error(`the server did not start:\n${log}`);
  }
  return {
    url,
    // No retries, because they would hide failures.
    client: new OpenAI({ baseURL: `${url}/v1`, apiKey: "unused", maxRetries: 0 }),
    /** What the server has logged. */
    log: () => log,
    async stop() {
      child.kill("SIGTERM");
      const [code] = await exited;
      if (code !== 0) {
        throw new Error(`the server exited with code ${code}:\n${log}`);
      }
    },
    /** The value of a metric without labels. */
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

/** Waits until a condition is true. */
async function waitUntil(description, condition) {
  const deadline = Date.now() + TIMEOUT;
  while (!(await condition())) {
    if (Date.now() > deadline) {
      throw new Error(`timed out after ${TIMEOUT} ms: ${description}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

module.exports = { MODEL, requiredVariable, start, startGateway, waitUntil };
