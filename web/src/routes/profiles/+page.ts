import { models } from '$lib/models/store.svelte';
import { profiles } from '$lib/profiles/store.svelte';
import { servers } from '$lib/servers/store.svelte';

export function load(): void {
  void profiles.load();
  void models.load();
  void servers.load();
}
