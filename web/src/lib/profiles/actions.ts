/** What can be done with a saved profile, with a message about the result. */
import type { Profile, Server } from '$lib/api';
import { start as startServer, tell } from '$lib/servers/actions';
import { servers } from '$lib/servers/store.svelte';
import { toasts } from '$lib/ui';
import { profiles } from './store.svelte';

/** Starts the server of a profile, and links to it. */
export async function start(name: string): Promise<boolean> {
  const result = await startServer({ profile: name });
  if (!result.ok) return false;
  const { server } = result.value;
  if (server) toasts.add({ title: `${name} is starting`, href: `/servers/${server.id}` });
  return true;
}

/** Stops a server. One with running requests is only stopped with `now`, which the message offers. */
export async function stop(server: Server, now = false): Promise<boolean> {
  const result = await servers.stop(server.id, { now });
  if (result.ok) return true;
  if (result.problem.code !== 'server_busy') {
    tell(`${server.name} was not stopped`, result.problem);
    return false;
  }
  toasts.add({
    title: `${server.name} is busy`,
    detail: result.problem.detail,
    tone: 'warn',
    action: { label: 'Stop it now', onselect: () => void stop(server, true) },
  });
  return false;
}

/**
 * Replaces the server of a profile, whose settings have changed, by one with the new settings. A server that other profiles
 * use, too, keeps running.
 */
export async function restart(name: string, old: Server, isShared: boolean): Promise<void> {
  if (!isShared && !(await stop(old, old.running > 0))) return;
  await start(name);
}

/** Copies a profile. */
export async function duplicate(profile: Profile): Promise<Profile | null> {
  const result = await profiles.duplicate(profile.id);
  if (result.ok) {
    const { id, config } = result.value;
    toasts.add({ title: `${config.name} was created`, detail: 'It has no port of its own.', href: `/profiles/${id}` });
    return result.value;
  }
  tell(`${profile.config.name} was not duplicated`, result.problem);
  return null;
}

/** Servers name the profiles that they serve: after a change of the profiles, they are read again. */
export function refreshServers(): void {
  void servers.reload();
}
