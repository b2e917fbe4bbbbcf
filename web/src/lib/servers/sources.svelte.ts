// What pickers choose from, from the stores.
import { downloads } from '$lib/downloads/store.svelte';
import { bytes } from '$lib/format';
import { modelColor, profileColor } from '$lib/memory';
import { models } from '$lib/models/store.svelte';
import { profiles } from '$lib/profiles/store.svelte';

import { servers } from './store.svelte';
import type { Sources } from './target';

/** Reactive: call it where something is derived. */
export function sources(): Sources {
  return {
    profiles: profiles.list,
    models: models.list,
    servers: servers.list,
    downloads: [...downloads.list].reverse(),
    modelColor,
    profileColor,
    bytes,
  };
}
