/** A model hub of its own for each test, with slow or failing transfers on demand. */

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { hubProgram } from './environment';

export interface Repository {
  id: string;
  /** Its files are those of this directory. */
  directory?: string;
  files?: Record<string, string>;
  downloads?: number;
  /** The number of 16-bit weights that searches show. */
  weights?: number;
  tags?: string[];
  gated?: boolean;
}

export class Hub {
  private constructor(
    private readonly child: ChildProcessByStdio<Writable, Readable, null>,
    private readonly lines: AsyncIterator<string>,
    readonly endpoint: string,
  ) {}

  static async start(): Promise<Hub> {
    const child = spawn(hubProgram(), [], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const { endpoint } = await read<{ endpoint: string }>(lines);
    return new Hub(child, lines, endpoint);
  }

  add(repository: Repository): Promise<void> {
    return this.command({ add: repository });
  }

  /** Limits each transfer, or ends the limit. */
  throttle(bytesPerSecond: number | null): Promise<void> {
    return this.command({ throttle: bytesPerSecond });
  }

  /** The status of the next request for models, such as a search. */
  failNext(status: number): Promise<void> {
    return this.command({ fail_next: status });
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.stdin.end();
    await exited;
  }

  private async command(command: object): Promise<void> {
    this.child.stdin.write(`${JSON.stringify(command)}\n`);
    const { error } = await read<{ error?: string }>(this.lines);
    if (error !== undefined) throw new Error(`test hub: ${error}`);
  }
}

async function read<T>(lines: AsyncIterator<string>): Promise<T> {
  const line = await lines.next();
  if (line.done === true) throw new Error('the test hub has exited');
  return JSON.parse(line.value) as T;
}
