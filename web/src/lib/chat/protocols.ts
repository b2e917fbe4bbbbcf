// The APIs in which a chat can send its requests. No Svelte inside.
import type { ChatProtocol } from '$lib/api';

export const protocols: { value: ChatProtocol; label: string }[] = [
  { value: 'openai', label: 'OpenAI' },
  { value: 'anthropic', label: 'Anthropic' },
];
