/** What a profile does at the moment, as a word and a tone. */
import type { LocalModel, Profile, Server } from '$lib/api';
import { status, type Status } from '$lib/servers/status';

/** The state of a profile: that of its server, and otherwise whether it could be started. */
export function profileState(
  profile: Profile,
  server: Server | undefined,
  model: LocalModel | undefined,
  areModelsKnown: boolean,
): Status {
  if (server) {
    const current = status(server);
    return server.failure ? { ...current, detail: server.failure.message } : current;
  }
  if (areModelsKnown && !model) {
    return { tone: 'warn', label: 'Model missing', detail: 'It is not on this machine.' };
  }
  if (model && !model.complete) {
    return { tone: 'warn', label: 'Model incomplete', detail: 'Files are missing.' };
  }
  return { tone: 'neutral', label: 'Not running', detail: null };
}

/** Why the server of a profile cannot be started; null if it can. */
export function cannotStart(profile: Profile, model: LocalModel | undefined, areModelsKnown: boolean): string | null {
  if (model && !model.complete) return 'Files of the model are missing. Download it again.';
  if (model || !areModelsKnown) return null;
  return `${profile.config.model} is not on this machine. Choose another model, or download it.`;
}

/** Whether a server has its model in memory, or is about to. */
export function isActive(server: Server | undefined): server is Server {
  return server !== undefined && !server.failure && server.state !== 'stopped' && server.state !== 'stopping';
}
