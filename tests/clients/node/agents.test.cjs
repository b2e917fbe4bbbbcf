// Coding agents against a running gateway, with the configuration that `mlxm launch` writes: a task of two turns with one tool
// call, which a checkpoint recites.
"use strict";

const assert = require("node:assert/strict");
const { randomBytes } = require("node:crypto");
const { execFileSync, spawn } = require("node:child_process");
const fs = require("node:fs");
const { createRequire } = require("node:module");
const os = require("node:os");
const path = require("node:path");
const { after, before, test } = require("node:test");
const { startToken, writeReciter } = require("../../reciter/reciter.cjs");
const { requiredVariable, startGateway, waitUntil } = require("./server.cjs");

/** Milliseconds for one turn of an agent. */
const TIME_LIMIT = 300_000;

const COMMAND = "cp note.txt copy.txt && cat copy.txt";
const ANSWER = "I copied the note and read the copy.";

/** Name of the model. */
const MODEL = "reciter";

/** Tokens that agents need. */
const CONTEXT_LENGTH = 131_072;

/** The shell tools of the agents: their names differ between versions. */
const CALLS = {
  Bash: { command: COMMAND, description: "Copies the note" },
  bash: { command: COMMAND, description: "Copies the note" },
  exec_command: { cmd: COMMAND },
  shell_command: { command: COMMAND },
  shell: { command: ["bash", "-c", COMMAND] },
};

/** Calls the first known tool, and answers after its result. Agents send long prompts: only the start of each message matters. */
const TEMPLATE = `
{%- set ns = namespace(text='answer', called=false) -%}
{%- if tools %}<|im_start|>system
{{ (tools | tojson)[:500] }}<|im_end|>
{% endif %}
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{{ (message.content or '')[:500] }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% if message.role == 'tool' %}{% set ns.called = true %}{% endif %}
{%- endfor %}
{%- if tools and not ns.called -%}
{%- set ns.text = 'unknown' -%}
{%- for tool in tools -%}
{%- if ns.text == 'unknown' and tool.function.name in ${JSON.stringify(Object.keys(CALLS))} -%}
{%- set ns.text = tool.function.name -%}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{{ '${startToken("TEXT")}' | replace('TEXT', ns.text) }}{% endif %}`;

function writeModel(folder) {
  const calls = Object.entries(CALLS).map(([name, call]) => {
    const json = JSON.stringify({ name, arguments: call });
    return [name, `<tool_call>\n${json}\n</tool_call>`];
  });
  const unknown = "None of the tools is known to this test.";
  const texts = { answer: ANSWER, unknown, ...Object.fromEntries(calls) };
  writeReciter(folder, texts, TEMPLATE, { contextLength: CONTEXT_LENGTH });
}

let folder;
let server;

before(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "mlxm-agents-"));
  const home = path.join(folder, "gateway");
  writeModel(path.join(home, "models", MODEL));
  server = await startGateway(home);
});

after(async () => {
  await server?.stop();
  fs.rmSync(folder, { recursive: true, force: true });
});

/** An empty home directory and a working directory with a note. */
function workplace(agent) {
  const home = path.join(folder, agent, "home");
  const directory = path.join(folder, agent, "work");
  fs.mkdirSync(home, { recursive: true });
  fs.mkdirSync(directory, { recursive: true });
  const note = `note ${randomBytes(8).toString("hex")}`;
  fs.writeFileSync(path.join(directory, "note.txt"), note);
  return { home, directory, note };
}

/** The environment of an agent: nothing of this machine's settings, keys or proxies. */
function environment(home, variables) {
  const { PATH, LANG, SHELL } = process.env;
  return { PATH, LANG: LANG ?? "C.UTF-8", SHELL: SHELL ?? "/bin/bash", HOME: home, TMPDIR: os.tmpdir(), NO_COLOR: "1", ...variables };
}

/** Writes the configuration of a client to the home directory. Returns what was written. */
function configure(client, home) {
  const variables = { MLXM_HOME: path.join(home, ".mlxm"), MLXM_HOST: server.url };
  const options = ["launch", client, "--model", MODEL, "--config", "--json"];
  const written = execFileSync(requiredVariable("MLXM_BIN"), options, { env: environment(home, variables) });
  return JSON.parse(written.toString());
}

/** What the gateway has recorded about a client. */
async function activityOf(client) {
  const { activity } = await (await fetch(`${server.url}/api/clients`)).json();
  return activity.find((each) => each.client === client);
}

/** The gateway has recognized the client, and computed the start of its second prompt once. */
async function assertConnected(client) {
  let activity;
  // Requests are counted in batches.
  await waitUntil(`three requests of ${client}`, async () => {
    activity = await activityOf(client);
    return activity?.requests >= 3;
  });
  assert.equal(activity.errors, 0, JSON.stringify(activity));
  assert.ok(activity.cached_tokens > 0, JSON.stringify(activity));
}

/** Runs an agent and keeps its transcript: in the test's output, and in a file. */
async function run(name, [program, ...options], { directory, env }) {
  // A process group of its own, so that the time limit also ends the processes that the agent has started.
  const child = spawn(program, options, { cwd: directory, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let transcript = `$ ${name} ${options.join(" ")}\n`;
  child.stdout.on("data", (text) => {
    output += text;
    transcript += text;
  });
  child.stderr.on("data", (text) => (transcript += text));
  let expired = false;
  const timer = setTimeout(() => {
    expired = true;
    process.kill(-child.pid, "SIGKILL");
  }, TIME_LIMIT);
  const code = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  clearTimeout(timer);
  const shortened = transcript.replace(/^(.{2000}).+$/gm, "$1 …");
  console.log(shortened);
  const directoryOfTranscripts = process.env.MLXM_AGENT_TRANSCRIPTS;
  if (directoryOfTranscripts) {
    fs.mkdirSync(directoryOfTranscripts, { recursive: true });
    fs.writeFileSync(path.join(directoryOfTranscripts, `${name}.txt`), `${transcript}\n--- server\n${server.log()}`);
  }
  assert.ok(!expired, `${name} did not end within ${TIME_LIMIT} ms\n${server.log()}`);
  assert.equal(code, 0, `${name} failed\n${server.log()}`);
  return output;
}

/** Lines of JSON; agents print other lines too. */
function events(output) {
  return output.split("\n").flatMap((line) => {
    try {
      return [JSON.parse(line)];
    } catch {
      return [];
    }
  });
}

/** Requests to `route` by status. */
async function statuses(route) {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const pattern = /^mlxm_gateway_requests_total\{([^}]*)\} (\d+)/gm;
  const counts = {};
  for (const [, labels, count] of text.matchAll(pattern)) {
    if (labels.includes(`route="${route}"`)) {
      counts[/status="(\d+)"/.exec(labels)[1]] = Number(count);
    }
  }
  return counts;
}

async function assertNoRequestFailed(route, atLeast) {
  let counts;
  await waitUntil(`${atLeast} requests to ${route}`, async () => {
    counts = await statuses(route);
    return Object.values(counts).reduce((sum, count) => sum + count, 0) >= atLeast;
  });
  assert.deepEqual(Object.keys(counts), ["200"], `${JSON.stringify(counts)}\n${server.log()}`);
}

/** The native program of Claude Code: its package for this platform, since no install script has run. */
function claude() {
  const resolve = createRequire(require.resolve("@anthropic-ai/claude-code/package.json")).resolve;
  const platform = `@anthropic-ai/claude-code-${process.platform}-${process.arch}`;
  const isMusl = process.platform === "linux" && !process.report.getReport().header.glibcVersionRuntime;
  const directory = path.dirname(resolve(`${platform}${isMusl ? "-musl" : ""}/package.json`));
  const program = path.join(directory, "claude");
  fs.chmodSync(program, 0o755);
  return program;
}

test("Claude Code calls a tool, answers, and continues the session", async () => {
  const { home, directory, note } = workplace("claude");
  const { files, aliases } = configure("claude-code", home);
  assert.deepEqual(files.map((file) => file.path), [path.join(home, ".claude", "settings.json")]);
  assert.deepEqual(aliases.map((alias) => alias.target), [MODEL, MODEL]);
  const env = environment(home, {
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    DISABLE_AUTOUPDATER: "1",
    DISABLE_TELEMETRY: "1",
    DISABLE_ERROR_REPORTING: "1",
  });
  const program = claude();
  const options = ["--output-format", "stream-json", "--verbose", "--max-turns", "5", "--allowedTools", "Bash"];
  const first = events(await run("claude-1", [program, "-p", "Copy the note.", ...options], { directory, env }));
  assert.equal(fs.readFileSync(path.join(directory, "copy.txt"), "utf8"), note);
  const content = first.flatMap((event) => event.message?.content ?? []);
  const call = content.find((block) => block.type === "tool_use");
  assert.deepEqual([call?.name, call?.input], ["Bash", CALLS.Bash]);
  const result = content.find((block) => block.type === "tool_result");
  assert.equal(result?.tool_use_id, call.id);
  assert.ok(JSON.stringify(result).includes(note), JSON.stringify(result));
  const end = first.find((event) => event.type === "result");
  assert.deepEqual([end?.subtype, end?.result], ["success", ANSWER]);

  const resume = ["--resume", end.session_id];
  const second = events(await run("claude-2", [program, "-p", "And now?", ...resume, ...options], { directory, env }));
  assert.equal(second.find((event) => event.type === "result")?.result, ANSWER);
  await assertNoRequestFailed("/v1/messages", 3);
  await assertConnected("claude-code");
});

test("Codex calls a tool, answers, and continues the session", async () => {
  const { home, directory, note } = workplace("codex");
  configure("codex", home);
  // What is not about the gateway: the user's own configuration, which the profile is added to.
  const own = `approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false

[analytics]
enabled = false

[feedback]
enabled = false
`;
  fs.writeFileSync(path.join(home, ".codex", "config.toml"), own);
  const env = environment(home, {});
  const script = path.join(path.dirname(require.resolve("@openai/codex/package.json")), "bin/codex.js");
  const codex = [process.execPath, script, "exec", "--profile", "mlxm", "--json", "--skip-git-repo-check"];
  const first = events(await run("codex-1", [...codex, "Copy the note."], { directory, env }));
  assert.equal(fs.readFileSync(path.join(directory, "copy.txt"), "utf8"), note);
  const items = (all, type) => all.flatMap((event) => (event.item?.type === type ? [event.item] : []));
  const command = items(first, "command_execution").at(-1);
  assert.ok(command?.aggregated_output.includes(note), JSON.stringify(command));
  assert.equal(items(first, "agent_message").at(-1)?.text, ANSWER);

  const second = events(await run("codex-2", [...codex, "resume", "--last", "And now?"], { directory, env }));
  assert.equal(items(second, "agent_message").at(-1)?.text, ANSWER);
  await assertNoRequestFailed("/v1/responses", 3);
  await assertConnected("codex");
});

test("OpenCode calls a tool, answers, and continues the session", async () => {
  const { home, directory, note } = workplace("opencode");
  configure("opencode", home);
  const env = environment(home, {
    OPENCODE_DISABLE_AUTOUPDATE: "1",
    OPENCODE_DISABLE_DEFAULT_PLUGINS: "1",
    OPENCODE_DISABLE_LSP_DOWNLOAD: "1",
    OPENCODE_DISABLE_MODELS_FETCH: "1",
  });
  // The package of the platform: only a script after the installation would make it the one of `opencode-ai`.
  const platform = require.resolve(`opencode-${process.platform}-${process.arch}/package.json`);
  const program = path.join(path.dirname(platform), "bin/opencode");
  const opencode = [program, "run", "--model", `mlxm/${MODEL}`, "--format", "json"];
  const first = await run("opencode-1", [...opencode, "Copy the note."], { directory, env });
  assert.equal(fs.readFileSync(path.join(directory, "copy.txt"), "utf8"), note);
  assert.ok(first.includes(note), first);
  assert.ok(first.includes(ANSWER), first);

  const second = await run("opencode-2", [...opencode, "--continue", "And now?"], { directory, env });
  assert.ok(second.includes(ANSWER), second);
  await assertNoRequestFailed("/v1/chat/completions", 3);
  await assertConnected("opencode");
});

test("undo leaves no configuration", () => {
  const { home } = workplace("undo");
  const { files } = configure("claude-code", home);
  const variables = { MLXM_HOME: path.join(home, ".mlxm"), MLXM_HOST: server.url };
  const options = ["launch", "claude-code", "--undo", "--quiet"];
  const undone = execFileSync(requiredVariable("MLXM_BIN"), options, { env: environment(home, variables) });
  assert.equal(undone.toString().trim(), files[0].path);
  assert.ok(!fs.existsSync(files[0].path));
});
