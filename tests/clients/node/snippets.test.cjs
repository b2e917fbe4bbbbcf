// The code that the gateway describes for SDKs and curl, and that of the chat page, sends a request that succeeds, as it is.
"use strict";

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { after, before, test } = require("node:test");
const { requiredVariable, startGateway, waitUntil } = require("./server.cjs");

/** Name of the model. */
const MODEL = "starter";

let folder;
let server;

before(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "mlxm-snippets-"));
  const home = path.join(folder, "gateway");
  fs.mkdirSync(path.join(home, "models"), { recursive: true });
  fs.symlinkSync(fs.realpathSync(requiredVariable("MLXM_STARTER_MODEL")), path.join(home, "models", MODEL));
  server = await startGateway(home);
  // Modules find packages next to their file only.
  const packages = path.resolve(path.dirname(require.resolve("openai")), "..");
  fs.symlinkSync(packages, path.join(folder, "node_modules"));
});

after(async () => {
  await server?.stop();
  fs.rmSync(folder, { recursive: true, force: true });
});

async function setup(client) {
  const response = await fetch(`${server.url}/api/clients/${client}?model=${MODEL}`);
  assert.equal(response.status, 200);
  return response.json();
}

/** The output of a program, with the variables of a configuration and none of this machine's for SDKs. */
function output([program, ...options], variables) {
  const own = Object.entries(process.env).filter(([name]) => !/^(OPENAI|ANTHROPIC)_/.test(name));
  const env = { ...Object.fromEntries(own), ...variables, NO_PROXY: "127.0.0.1", no_proxy: "127.0.0.1" };
  const child = spawn(program, options, { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  let errors = "";
  child.stdout.on("data", (part) => (text += part));
  child.stderr.on("data", (part) => (errors += part));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve(text) : reject(new Error(`${program}: ${code}\n${errors}`))));
  });
}

function variables({ environment }) {
  return Object.fromEntries(environment.map(({ name, value }) => [name, value]));
}

async function assertRecognized(client) {
  let found;
  // Requests are counted in batches.
  await waitUntil(`a request of ${client}`, async () => {
    const { activity } = await (await fetch(`${server.url}/api/clients`)).json();
    found = activity.find((each) => each.client === client);
    return found !== undefined;
  });
  assert.equal(found.errors, 0, JSON.stringify(found));
}

for (const client of ["openai-typescript", "anthropic-typescript"]) {
  test(`the code for ${client} prints a completion`, async () => {
    const described = await setup(client);
    const [snippet] = described.snippets;
    // Without types, it is JavaScript, too.
    const file = path.join(folder, `${client}.mjs`);
    fs.writeFileSync(file, snippet.text);
    assert.notEqual((await output([process.execPath, file], {})).trim(), "");
    await assertRecognized(client);
  });

  test(`the variables for ${client} are those that it reads`, async () => {
    const described = await setup(client);
    const code = described.snippets[0].text.replace(/\(\{ (base_url|baseURL):.*?\}\)/, "()");
    assert.ok(!code.includes(server.url), code);
    const file = path.join(folder, `${client}-variables.mjs`);
    fs.writeFileSync(file, code);
    assert.notEqual((await output([process.execPath, file], variables(described))).trim(), "");
  });
}

test("the commands for curl print a completion", async () => {
  const { snippets } = await setup("curl");
  assert.equal(snippets.length, 2);
  for (const { title, text } of snippets) {
    const response = JSON.parse(await output(["sh", "-c", text], {}));
    const content = response.choices?.[0].message.content ?? response.content?.[0].text;
    assert.equal(typeof content, "string", `${title}: ${JSON.stringify(response)}`);
  }
  await assertRecognized("curl");
});

/** Code of the chat page with many settings, which its own tests compare with what it shows. */
function codeOfChat(file) {
  const origin = "http://127.0.0.1:8080";
  const code = fs.readFileSync(path.join(__dirname, "..", "chat", file), "utf8");
  assert.ok(code.includes(origin), code);
  return code.replace(origin, server.url);
}

for (const protocol of ["openai", "anthropic"]) {
  test(`the TypeScript of a chat prints a completion of the API of ${protocol}`, async () => {
    const file = path.join(folder, `chat-${protocol}.mjs`);
    fs.writeFileSync(file, codeOfChat(`${protocol}.mjs`));
    assert.notEqual((await output([process.execPath, file], {})).trim(), "");
  });

  test(`the command of a chat streams a completion of the API of ${protocol}, with fields that it has`, async () => {
    const headers = path.join(folder, `${protocol}-headers`);
    const command = codeOfChat(`${protocol}.sh`).replace("curl -N", `curl -N -D '${headers}'`);
    const events = (await output(["sh", "-c", command], {}))
      .split("\n")
      .filter((line) => line.startsWith("data: {"))
      .map((line) => JSON.parse(line.slice("data: ".length)));
    const text = events.map((event) => event.choices?.[0]?.delta.content ?? event.delta?.text ?? "").join("");
    assert.notEqual(text.trim(), "", JSON.stringify(events));
    assert.doesNotMatch(fs.readFileSync(headers, "utf8"), /unknown fields/);
  });
}
