// Actions on servers, with what the user is told about them.
import type { Problem, Result, Server, StartRequest, StartResponse } from '$lib/api';
import { connection } from '$lib/events';
import { toasts } from '$lib/ui';
import type { LiveRequests } from './live-requests.svelte';
import { servers } from './store.svelte';
import { title } from './status';

export const UNREACHABLE = 'The gateway is not reachable.';

/** Why nothing can be changed now; undefined while the gateway responds. */
export function offlineReason(): string | undefined {
  return connection.isDown ? UNREACHABLE : undefined;
}

/** Says why an action failed. */
export function tell(action: string, problem: Problem): void {
  if (problem.isAborted) return;
  const detail = [problem.detail, problem.advice].filter((part) => part !== null).join(' ');
  toasts.add({ title: action, detail, tone: 'bad' });
}

/** Stops a server. Returns whether it is busy, so that the user has to confirm it. */
export async function stop(server: Server, now: boolean): Promise<'stopped' | 'busy' | 'failed'> {
  const result = await servers.stop(server.id, { now });
  if (result.ok) {
    toasts.add({
      title: `${title(server)} is stopping`,
      action: { label: 'Start again', onselect: () => void start(startOf(server)) },
    });
    return 'stopped';
  }
  if (result.problem.code === 'server_busy' && !now) return 'busy';
  tell(`${title(server)} was not stopped`, result.problem);
  return 'failed';
}

/** Restarts a server with the same settings. */
export async function restart(server: Server, now: boolean): Promise<'restarted' | 'busy' | 'failed'> {
  const result = await servers.restart(server.id, { now });
  if (result.ok) return 'restarted';
  if (result.problem.code === 'server_busy' && !now) return 'busy';
  tell(`${title(server)} was not restarted`, result.problem);
  return 'failed';
}

/** Cancels a request. One that has ended in the meantime is no failure. */
export async function cancelRequest(requests: LiveRequests, id: string): Promise<void> {
  const result = await requests.cancel(id);
  if (!result.ok && result.problem.code !== 'request_not_found') tell('The request was not cancelled', result.problem);
}

/** Keeps a server in memory, or no longer. */
export async function pin(server: Server, pinned: boolean): Promise<void> {
  const result = await servers.pin(server.id, pinned);
  if (!result.ok) tell(`${title(server)} was not ${pinned ? 'pinned' : 'unpinned'}`, result.problem);
}

/** Removes a failed server from the list. */
export async function dismiss(server: Server): Promise<void> {
  const result = await servers.dismiss(server.id);
  if (!result.ok) tell(`${title(server)} was not dismissed`, result.problem);
}

/** Starts a model or profile, and says why it does not start. */
export async function start(request: StartRequest): Promise<Result<StartResponse>> {
  const result = await startHere(request);
  if (!result.ok) tell(`${request.profile ?? request.model ?? 'The model'} was not started`, result.problem);
  return result;
}

/** Starts a model or profile where the page shows a failure itself. */
export async function startHere(request: StartRequest): Promise<Result<StartResponse>> {
  const result = await servers.start(request);
  if (result.ok && result.value.server == null) {
    const { model, message } = result.value.plan;
    toasts.add({ title: `${request.profile ?? model} waits for memory`, detail: message });
  }
  return result;
}

/** Starts in place of a failed server, which is dismissed then if it has other settings. */
export async function startInstead(failed: Server, request: StartRequest): Promise<void> {
  const result = await start(request);
  // The gateway has replaced it already if the settings are the same.
  if (result.ok && servers.items.has(failed.id)) await servers.dismiss(failed.id);
}

/** The start that a server came from. */
export function startOf(server: Server): StartRequest {
  const profile = server.profiles[0];
  return profile === undefined ? { model: server.name, settings: server.settings } : { profile };
}
