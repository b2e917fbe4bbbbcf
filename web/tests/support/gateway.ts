/** A gateway with a home directory, a hub and models of its own. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { components } from '../../src/lib/api/schema';
import { onOneCore, program, starterModel, waitFor } from './environment';

type Schemas = components['schemas'];
export type Server = Schemas['Server'];

/** Names of the starter model on this machine: two, for tests with two models. */
export const STARTER = 'SmolLM2-135M-Instruct';
export const SECOND = 'SmolLM2-135M-Second';

/** Settings of a response that goes on until its limit: the tokens that end one are left out. */
export const ENDLESS = { temperature: 0, logit_bias: { '0': -100, '2': -100 } };

/** Variables of the user that would change what the gateway does. */
const REMOVED = /^(?:MLXM_|HF_|HUGGINGFACE_|DATABASE_URL$|XDG_)/;

export class Gateway {
  readonly home = mkdtempSync(join(tmpdir(), 'mlxm-web-'));
  private child: ChildProcess | undefined;
  private log = '';
  /** The port after the first start, so that the page finds the next gateway. */
  private port = 0;

  constructor(
    private readonly hubEndpoint: string,
    private readonly settings: Record<string, string> = {},
  ) {
    mkdirSync(join(this.home, 'models'));
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Adds the starter model as a local model. */
  addStarter(name: string = STARTER): void {
    symlinkSync(starterModel(), join(this.home, 'models', name));
  }

  async start(): Promise<void> {
    const kept = Object.entries(process.env).filter(([name]) => !REMOVED.test(name));
    const [command = '', ...options] = [...onOneCore(), program(), 'serve'];
    const child = spawn(command, options, {
      env: {
        ...Object.fromEntries(kept),
        MLXM_HOME: this.home,
        MLXM_SERVER_HOST: '127.0.0.1',
        MLXM_SERVER_PORT: String(this.port),
        HF_ENDPOINT: this.hubEndpoint,
        HF_HOME: join(this.home, 'hub'),
        ...this.settings,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const output of [child.stdout, child.stderr]) {
      output.on('data', (text: Buffer) => (this.log += text.toString()));
    }
    this.child = child;
    const url = await waitFor('the start of the gateway', () => this.readUrl());
    this.port = Number(new URL(url).port);
    const page = await fetch(this.url, { headers: { accept: 'text/html' } });
    if ((await page.text()).includes('cargo xtask web')) {
      throw new Error('the program has no page: run `cargo xtask web` and build it again');
    }
  }

  /** Ends it without a chance to do anything. Its workers keep running for a minute. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.end('SIGTERM');
  }

  /** Ends it and its workers, which would complete their responses if they were stopped, and removes its home directory. */
  async remove(): Promise<void> {
    const servers = await this.servers().catch(() => []);
    await this.kill();
    for (const { pid } of servers) {
      try {
        if (pid != null) process.kill(pid, 'SIGKILL');
      } catch {
        // It has exited.
      }
    }
    rmSync(this.home, { recursive: true, force: true });
  }

  /** What the gateway has printed. */
  output(): string {
    return this.log;
  }

  async get<T>(path: string): Promise<T> {
    return this.request<T>('GET', path);
  }

  async request<T>(method: string, path: string, body?: unknown): Promise<T> {
    const init: RequestInit = { method };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { 'content-type': 'application/json' };
    }
    const response = await fetch(`${this.url}${path}`, init);
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  async servers(): Promise<Server[]> {
    const { servers } = await this.get<Schemas['ServerList']>('/api/servers');
    return servers;
  }

  /** Starts a model and waits until it is ready. */
  async load(model: string): Promise<Server> {
    await this.request('POST', '/api/servers', { model });
    return this.waitForState(model, 'ready');
  }

  async waitForState(model: string, state: Server['state']): Promise<Server> {
    return waitFor(`${model} is ${state}`, async () => {
      const servers = await this.servers();
      return servers.find((server) => server.name === model && server.state === state);
    });
  }

  /** Kills the process of a server, as the system does when memory is short. */
  killWorker({ pid }: Server): void {
    if (pid == null) throw new Error('the server has no process');
    process.kill(pid, 'SIGKILL');
  }

  /** Sends a request to a model, so that there is something to see. */
  async generate(model: string, tokens = 8): Promise<void> {
    const messages = [{ role: 'user', content: 'Say hello.' }];
    await this.request('POST', '/v1/chat/completions', { model, messages, max_tokens: tokens });
  }

  /** A chat with a message, and its response once it is complete. */
  async chat(model: string, text: string, settings: Schemas['RequestSettings'] = {}): Promise<Schemas['ChatDetail']> {
    const chat = await this.request<Schemas['Chat']>('POST', '/api/chats', { model, settings });
    await this.request('POST', `/api/chats/${chat.id}/messages`, { content: [{ type: 'text', text }] });
    return this.waitForResponse(chat.id);
  }

  /** Waits until nothing is written in a chat any more. */
  async waitForResponse(chat: string): Promise<Schemas['ChatDetail']> {
    return waitFor('the end of the response', async () => {
      const detail = await this.get<Schemas['ChatDetail']>(`/api/chats/${chat}`);
      const isWriting = detail.messages.some(({ state }) => state === 'running');
      return isWriting || detail.messages.length < 2 ? undefined : detail;
    });
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.child;
    this.child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  /** The address in `gateway.json`, unless the file is of an earlier gateway. */
  private readUrl(): string | undefined {
    if (this.child === undefined || this.child.exitCode !== null) {
      throw new Error(`the gateway did not start:\n${this.log}`);
    }
    try {
      const file = JSON.parse(readFileSync(join(this.home, 'gateway.json'), 'utf8')) as { url: string; pid: number };
      return file.pid === this.child.pid ? file.url : undefined;
    } catch {
      // Not written yet.
      return undefined;
    }
  }
}
