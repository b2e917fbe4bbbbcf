import { models } from '$lib/models/store.svelte';
import { pool } from '$lib/pool/store.svelte';
import { profiles } from '$lib/profiles/store.svelte';
import { servers } from '$lib/servers/store.svelte';

/** The page is shown at once; each part of it while its data is read. */
export function load(): void {
  for (const store of [models, pool, servers, profiles]) void store.load();
}
