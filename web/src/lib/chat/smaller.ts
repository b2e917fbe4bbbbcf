// A response with less memory: by a profile of the same model that has a smaller context.
import type { Message } from '$lib/api';
import { tokens } from '$lib/format';
import { suggestedName } from '$lib/profiles/draft';
import { profiles } from '$lib/profiles/store.svelte';
import { tell } from '$lib/servers/actions';
import type { WaitingStart } from '$lib/servers/alternative';
import { withContext } from '$lib/servers/remedy';
import { shortName } from '$lib/servers/status';
import { regenerate, report, stopRun } from './actions';
import type { OpenChat } from './store.svelte';

/** The start of a profile or model; null while its context length is unknown. `longest`: of the model. */
export function waitingStart(name: string, longest: number | null): WaitingStart | null {
  const config = profiles.find(name)?.config;
  const load = config?.load ?? {};
  const contextLength = load.context_length ?? longest;
  return contextLength == null ? null : { model: config?.model ?? name, load, contextLength };
}

/** Responds again with a smaller context, which the chat has from now on. */
export async function respondWithLess(chat: OpenChat, message: Message, contextLength: number): Promise<void> {
  const name = message.model ?? chat.chat?.model ?? null;
  const smaller = name === null ? null : await profileWith(name, contextLength);
  if (smaller === null) return;
  const live = chat.live(message.id);
  if (live) await stopRun(chat, live.run.id);
  const result = await chat.change({ model: smaller });
  if (report('The model was not changed', result.ok ? null : result.problem)) {
    await regenerate(chat, message.id, { model: smaller });
  }
}

/** The name of a profile that differs from what `name` stands for in its context length; null if it could not be created. */
async function profileWith(name: string, contextLength: number): Promise<string | null> {
  const config = profiles.find(name)?.config;
  const model = config?.model ?? name;
  const wanted = `${shortName(name)} ${tokens(contextLength)}`;
  const known = profiles.find(wanted)?.config;
  if (known?.model === model && known.load?.context_length === contextLength) return wanted;
  const created = await profiles.create({
    name: suggestedName(wanted, new Set(profiles.list.map((profile) => profile.config.name))),
    model,
    load: withContext(config?.load ?? {}, contextLength),
    request: config?.request ?? {},
  });
  if (created.ok) return created.value.config.name;
  tell('The smaller context was not set up', created.problem);
  return null;
}
