import { models } from '$lib/models/store.svelte';
import { pool } from '$lib/pool/store.svelte';
import { profiles } from '$lib/profiles/store.svelte';
import { servers } from '$lib/servers/store.svelte';
import { system } from '$lib/system/store.svelte';
import type { PageLoad } from './$types';

/** The page is shown at once; its parts wait for their stores. */
export const load: PageLoad = () => {
  for (const store of [servers, pool, profiles, models, system]) void store.load();
};
