// What the page of a model shows besides the model. It is shown at once; each part of it while its data is read.

import { aliases } from '$lib/aliases/store.svelte';
import { downloads } from '$lib/downloads/store.svelte';
import { pool } from '$lib/pool/store.svelte';
import { profiles } from '$lib/profiles/store.svelte';
import { servers } from '$lib/servers/store.svelte';
import { models } from './store.svelte';

export function loadModel(name: string): { name: string } {
  for (const store of [models, pool, servers, downloads, profiles, aliases]) void store.load();
  return { name };
}
