import { servers } from '$lib/servers/store.svelte';
import type { PageLoad } from './$types';

export const load: PageLoad = () => {
  void servers.load();
};
