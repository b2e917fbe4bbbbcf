// Coding agents against a running server: a task of two turns with one tool call, which a checkpoint recites.
"use strict";

const assert = require("node:assert/strict");
const { randomBytes } = require("node:crypto");
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const { createRequire } = require("node:module");
const os = require("node:os");
const path = require("node:path");
const { after, before, test } = require("node:test");
const { startToken, writeReciter } = require("./reciter.cjs");
const { MODEL, requiredVariable, start } = require("./server.cjs");

/** Milliseconds for one turn of an agent. */
const TIME_LIMIT = 120_000;

const COMMAND = "cp note.txt copy.txt && cat copy.txt";
const ANSWER = "I copied the note and read the copy.";

/** The shell tools of the agents: their names differ between versions. */
const CALLS = {
  Bash: { command: COMMAND, description: "Copies the note" },
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
  writeReciter(folder, { answer: ANSWER, unknown, ...Object.fromEntries(calls) }, TEMPLATE);
}

let folder;
let server;

before(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "mlxm-agents-"));
  writeModel(path.join(folder, "model"));
  server = await start(path.join(folder, "model"), []);
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
  const pattern = /^mlxm_http_requests_total\{([^}]*)\} (\d+)/gm;
  const counts = {};
  for (const [, labels, count] of text.matchAll(pattern)) {
    if (labels.includes(`route="${route}"`)) {
      counts[/status="(\d+)"/.exec(labels)[1]] = Number(count);
    }
  }
  return counts;
}

async function assertNoRequestFailed(route, atLeast) {
  const counts = await statuses(route);
  assert.deepEqual(Object.keys(counts), ["200"], `${JSON.stringify(counts)}\n${server.log()}`);
  assert.ok(counts[200] >= atLeast, JSON.stringify(counts));
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
  const env = environment(home, {
    CLAUDE_CONFIG_DIR: path.join(home, ".claude"),
    ANTHROPIC_BASE_URL: server.url,
    ANTHROPIC_API_KEY: "unused",
    ANTHROPIC_MODEL: MODEL,
    ANTHROPIC_SMALL_FAST_MODEL: MODEL,
    ANTHROPIC_DEFAULT_HAIKU_MODEL: MODEL,
    ANTHROPIC_DEFAULT_SONNET_MODEL: MODEL,
    ANTHROPIC_DEFAULT_OPUS_MODEL: MODEL,
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
});

test("Codex calls a tool, answers, and continues the session", async () => {
  const { home, directory, note } = workplace("codex");
  const configuration = path.join(home, ".codex");
  fs.mkdirSync(configuration);
  fs.writeFileSync(
    path.join(configuration, "config.toml"),
    `model = "${MODEL}"
model_provider = "mlxm"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false

[analytics]
enabled = false

[feedback]
enabled = false

[model_providers.mlxm]
name = "mlxm"
base_url = "${server.url}/v1"
wire_api = "responses"
env_key = "MLXM_AGENT_KEY"
request_max_retries = 0
stream_max_retries = 0
`,
  );
  const env = environment(home, { CODEX_HOME: configuration, MLXM_AGENT_KEY: "unused" });
  const script = path.join(path.dirname(require.resolve("@openai/codex/package.json")), "bin/codex.js");
  const codex = [process.execPath, script, "exec", "--json", "--skip-git-repo-check"];
  const first = events(await run("codex-1", [...codex, "Copy the note."], { directory, env }));
  assert.equal(fs.readFileSync(path.join(directory, "copy.txt"), "utf8"), note);
  const items = (all, type) => all.flatMap((event) => (event.item?.type === type ? [event.item] : []));
  const command = items(first, "command_execution").at(-1);
  assert.ok(command?.aggregated_output.includes(note), JSON.stringify(command));
  assert.equal(items(first, "agent_message").at(-1)?.text, ANSWER);

  const second = events(await run("codex-2", [...codex, "resume", "--last", "And now?"], { directory, env }));
  assert.equal(items(second, "agent_message").at(-1)?.text, ANSWER);
  await assertNoRequestFailed("/v1/responses", 3);
});
