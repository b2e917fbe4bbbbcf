import { downloads } from '$lib/downloads/store.svelte';
import { models } from '$lib/models/store.svelte';
import { pool } from '$lib/pool/store.svelte';
import { profiles } from '$lib/profiles/store.svelte';
import { servers } from '$lib/servers/store.svelte';
import type { PageLoad } from './$types';

/** The page is shown at once. Its list and its chat are read by their parts, which know what is filtered and written. */
export const load: PageLoad = ({ params, url }) => {
  for (const store of [servers, models, profiles, downloads, pool]) void store.load();
  return { id: params.id ?? null, model: url.searchParams.get('model') };
};
