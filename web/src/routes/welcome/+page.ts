import { downloads } from '$lib/downloads/store.svelte';
import { models } from '$lib/models/store.svelte';
import { pool } from '$lib/pool/store.svelte';
import { servers } from '$lib/servers/store.svelte';
import { system } from '$lib/system/store.svelte';

/** The page is shown at once; each part of it while its data is read. */
export function load(): void {
  for (const store of [system, pool, models, downloads, servers]) void store.load();
}
