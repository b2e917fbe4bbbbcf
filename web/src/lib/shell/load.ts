// Starts models that were to be started after their download, also on other pages and after a reload.
import '$lib/downloads/when-ready.svelte';
import { downloads } from '$lib/downloads/store.svelte';
import { models } from '$lib/models/store.svelte';
import { pool } from '$lib/pool/store.svelte';
import { profiles } from '$lib/profiles/store.svelte';
import { servers } from '$lib/servers/store.svelte';
import { system } from '$lib/system/store.svelte';

/** What the frame shows on every page: the memory strip, the download pill, the connection, the palette. */
export function loadShell(): void {
  for (const store of [pool, servers, system, downloads, models, profiles]) void store.load();
}
