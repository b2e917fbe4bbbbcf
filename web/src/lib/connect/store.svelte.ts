/** Clients: programs that use the gateway, and what they have sent since it was started. */
import { SvelteMap } from 'svelte/reactivity';

import {
  api,
  attempt,
  type Client,
  type ClientActivity,
  type ClientSetup,
  type Result,
  type StreamEvent,
} from '$lib/api';
import { origin } from '$lib/api/origin';
import { events, Resource } from '$lib/events';
import { fill } from '$lib/events/resource.svelte';

/** Under which programs that are not recognized are summed up. */
const OTHER = 'other';

/** What a client is to use: names of profiles or models. The gateway chooses what is not given. */
export interface Roles {
  model?: string;
  fast?: string;
}

export class ClientStore extends Resource {
  /** By id, in the order in which they are shown. */
  readonly items = new SvelteMap<string, Client>();
  readonly list = $derived([...this.items.values()]);
  #activity = new SvelteMap<string, ClientActivity>();

  constructor(stream = events) {
    super(stream, ['clients']);
  }

  /** What it has sent; of a client that cannot be recognized, what all such programs have sent. */
  activityOf(client: Client): ClientActivity | undefined {
    return this.#activity.get(client.is_recognized ? client.id : OTHER);
  }

  /** How it is configured, for the address of this page. */
  setup(client: string, roles: Roles, signal?: AbortSignal): Promise<Result<ClientSetup>> {
    const params = { path: { client }, query: { ...roles, url: origin() } };
    return attempt(() => api.get('/api/clients/{client}', { params, ...(signal && { signal }) }));
  }

  protected async fetch(): Promise<() => void> {
    const { clients, activity } = await api.get('/api/clients');
    return () => {
      fill(this.items, clients, (client) => client.id);
      fill(this.#activity, activity, ({ client }) => client);
    };
  }

  protected reduce(event: StreamEvent): void {
    if (event.topic === 'clients') this.#activity.set(event.event.client, event.event);
  }
}

export const clients = new ClientStore();
