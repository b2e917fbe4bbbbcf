/** What `cargo xtask test --only browser` sets. */

import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** A variable that a task sets. */
export function required(name: string, task = 'cargo xtask test --only browser'): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`${name} is not set: \`${task}\` sets it`);
  return value;
}

/** The program under test, which has embedded the page. */
export const program = (): string => resolve(required('MLXM_BIN'));

/** The program of the test hub. */
export const hubProgram = (): string => resolve(required('MLXM_TESTHUB_BIN'));

/** The directory of a small model in MLX format. */
export const starterModel = (): string => resolve(required('MLXM_STARTER_MODEL'));

/**
 * What comes before a command so that its models compute on one thread. With one for each core, those of gateways that are tested at
 * the same time and the browsers would wait for each other's cores most of the time. Linux only.
 */
export function onOneCore(): string[] {
  if (process.platform !== 'linux') return [];
  const allowed = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  const cores = allowed.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, offset) => first + offset);
  });
  const core = cores[Number(process.env.TEST_PARALLEL_INDEX ?? 0) % cores.length] ?? 0;
  return ['taskset', '--cpu-list', String(core)];
}

/** Where screenshots are written. */
export const screenshots = (): string => process.env.MLXM_SCREENSHOTS ?? join('test-results', 'screenshots');

/** Longer than any step takes; only a hang reaches it. */
export const DEADLINE_MS = 60_000;

/** Repeats `attempt` until it returns something. For what is not on a page: on a page, use `expect`. */
export async function waitFor<T>(what: string, attempt: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const found = await attempt();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
