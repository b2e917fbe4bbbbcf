// What uses a model now: live, so that a dialog that is open says what is true.

import { aliases } from '$lib/aliases/store.svelte';
import { downloads } from '$lib/downloads/store.svelte';
import { servers } from '$lib/servers/store.svelte';
import type { References } from './references';
import { models } from './store.svelte';

/** Reactive where it is called in a derivation. */
export function referencesOf(name: string): References {
  return {
    servers: servers.ofModel(name).filter((server) => server.failure == null),
    profiles: models.profilesOf(name),
    downloads: downloads.active.filter((download) => download.repo_id === name),
    aliases: aliases.list.filter((alias) => alias.target === name),
  };
}
