// Which servers a page has shown, so that it can follow a model to its next server.
import type { Server } from '$lib/api';
import { title } from './status';

export class Watched {
  #seen: Server[] = [];

  /** Remembers a server, and what it was last. */
  see(server: Server): void {
    const at = this.#seen.findIndex((one) => one.id === server.id);
    if (at < 0) this.#seen.push(server);
    else this.#seen[at] = server;
  }

  nameOf(id: string): string | undefined {
    const found = this.#find(id);
    return found && title(found);
  }

  /** The server that has the model now: the newest with the same model, started later. */
  successor(id: string, servers: readonly Server[]): Server | undefined {
    const before = this.#find(id);
    if (before === undefined) return undefined;
    return servers
      .filter((one) => one.name === before.name && one.id !== id && one.started_at_ms > before.started_at_ms)
      .toSorted((a, b) => b.started_at_ms - a.started_at_ms)[0];
  }

  /** Ids of the servers that had the model before, newest first. */
  earlier(server: Server): string[] {
    return this.#seen
      .filter((one) => one.name === server.name && one.id !== server.id)
      .toSorted((a, b) => b.started_at_ms - a.started_at_ms)
      .map((one) => one.id);
  }

  #find(id: string): Server | undefined {
    return this.#seen.find((one) => one.id === id || one.name === id || one.profiles.includes(id));
  }
}
