// Whose logs there are, with their names. No Svelte inside.
import type { Server } from '$lib/api';
import { title } from '$lib/servers/status';
import { GATEWAY } from './buffer';

export interface LogSource {
  id: string;
  name: string;
}

/** Most logs that are followed together: the stream limits the number of its topics. */
const MOST = 24;

/** The gateway and the servers, and one that has ended if it was asked for. `seen`: names of those that were listed before. */
export function sources(
  servers: readonly Server[],
  wanted: string | null,
  seen: readonly LogSource[] = [],
): LogSource[] {
  const listed = servers.map((server) => ({ id: server.id, name: title(server) }));
  // Servers of one model have the same name.
  const named = listed.map(({ id, name }) => {
    const isUnique = listed.filter((other) => other.name === name).length === 1;
    return { id, name: isUnique ? name : `${name} ${shortId(id)}` };
  });
  const all = [{ id: GATEWAY, name: 'gateway' }, ...named];
  if (wanted === null || all.some((source) => source.id === wanted)) return all;
  const before = seen.find((source) => source.id === wanted);
  return [...all, before ?? { id: wanted, name: `ended ${shortId(wanted)}` }];
}

/** All of now, and those of before that are gone. The same list if nothing has changed. */
export function remembered(before: readonly LogSource[], now: readonly LogSource[]): readonly LogSource[] {
  const gone = before.filter((source) => !now.some(({ id }) => id === source.id));
  const all = [...now, ...gone];
  const isSame =
    all.length === before.length &&
    all.every(({ id, name }, index) => before[index]?.id === id && before[index].name === name);
  return isSame ? before : all;
}

/** Those that are open: the one that was asked for, or all. */
export function opened(all: readonly LogSource[], wanted: string | null): string[] {
  if (wanted !== null) return [wanted];
  return all.slice(0, MOST).map((source) => source.id);
}

/** Logs that are open. Those that stay are not read again when others are added. */
export class OpenLogs {
  #open: (id: string) => () => void;
  #closes = new Map<string, () => void>();

  constructor(open: (id: string) => () => void) {
    this.#open = open;
  }

  set(ids: readonly string[]): void {
    for (const [id, close] of [...this.#closes]) {
      if (ids.includes(id)) continue;
      close();
      this.#closes.delete(id);
    }
    for (const id of ids) if (!this.#closes.has(id)) this.#closes.set(id, this.#open(id));
  }
}

/** The end of an id, which differs; its start is a time. */
function shortId(id: string): string {
  return id.slice(-4);
}
