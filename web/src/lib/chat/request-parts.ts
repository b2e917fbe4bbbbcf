// The request of a response, as a program would send it. No Svelte inside.
import type { Message } from '$lib/api';

import { textOf } from './run';
import type { RequestParts } from './snippets';
import type { ChatConfig } from './view.svelte';

/**
 * From the messages before a response, and its receipt; without one, from what the chat sets. `path`: the branch that it is on.
 * Files are named: their content is added by the gateway.
 */
export function requestParts(
  origin: string,
  path: readonly Message[],
  message: Message | undefined,
  config: ChatConfig,
  persona: string,
): RequestParts {
  const end = path.findIndex(({ id }) => id === message?.id);
  const before = end === -1 ? path : path.slice(0, end);
  const { receipt } = message ?? {};
  const { settings, system } = receipt
    ? { settings: { ...receipt.request, seed: receipt.seed }, system: receipt.system_prompt ?? '' }
    : { settings: config.settings, system: config.system_prompt ?? persona };
  return {
    origin,
    model: receipt?.model ?? message?.model ?? config.model ?? '',
    system,
    messages: before.map((each) => ({ role: each.role, content: contentOf(each) })),
    settings,
  };
}

function contentOf({ content }: Message): string {
  const files = content.flatMap((part) => (part.type === 'attachment' ? [`[${part.name}]`] : []));
  return [...files, textOf(content)].filter((text) => text !== '').join('\n');
}
