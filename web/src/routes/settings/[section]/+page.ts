import { error } from '@sveltejs/kit';
import type { PageLoad } from './$types';
import { pool } from '$lib/pool/store.svelte';
import { servers } from '$lib/servers/store.svelte';
import { sectionById } from '$lib/settings/sections';
import { settings } from '$lib/settings/store.svelte';
import { system } from '$lib/system/store.svelte';

export const load: PageLoad = ({ params }) => {
  const section = sectionById(params.section);
  if (!section) error(404, `There are no settings "${params.section}".`);
  for (const store of [settings, pool, servers, system]) void store.load();
  return { section };
};
