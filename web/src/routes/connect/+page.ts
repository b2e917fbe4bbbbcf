import { clients } from '$lib/connect/store.svelte';
import { models } from '$lib/models/store.svelte';
import { profiles } from '$lib/profiles/store.svelte';
import { servers } from '$lib/servers/store.svelte';

export function load(): void {
  for (const store of [clients, models, profiles, servers]) void store.load();
}
