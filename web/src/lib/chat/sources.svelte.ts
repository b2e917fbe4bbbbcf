// What a chat can be with, from the stores.
import { modelColor, profileColor } from '$lib/memory';
import { profiles } from '$lib/profiles/store.svelte';
import { shortName } from '$lib/servers/status';
import type { ModelColor } from '$lib/ui';

export { sources } from '$lib/servers/sources.svelte';

/** How a profile or model is shown. It does not depend on servers, which change each second. */
export function faceOf(name: string | null | undefined): { title: string | null; color: ModelColor | undefined } {
  if (name === null || name === undefined) return { title: null, color: undefined };
  const profile = profiles.list.find(({ config }) => config.name === name);
  return profile === undefined
    ? { title: shortName(name), color: modelColor(name) }
    : { title: name, color: profileColor(profile) };
}
