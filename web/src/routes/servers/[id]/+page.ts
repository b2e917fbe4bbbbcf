import { pool } from '$lib/pool/store.svelte';
import { profiles } from '$lib/profiles/store.svelte';
import { servers } from '$lib/servers/store.svelte';
import { system } from '$lib/system/store.svelte';
import type { PageLoad } from './$types';

export const load: PageLoad = ({ params }) => {
  for (const store of [servers, pool, profiles, system]) void store.load();
  return { id: params.id };
};
