import type { PageLoad } from './$types';
import { models } from '$lib/models/store.svelte';
import { pool } from '$lib/pool/store.svelte';
import { profiles } from '$lib/profiles/store.svelte';
import { servers } from '$lib/servers/store.svelte';
import { settings } from '$lib/settings/store.svelte';
import { system } from '$lib/system/store.svelte';

export const load: PageLoad = ({ params }) => {
  for (const store of [profiles, models, servers, pool, settings, system]) void store.load();
  return { id: params.id };
};
