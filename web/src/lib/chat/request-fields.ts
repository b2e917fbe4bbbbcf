// Settings as fields of a request, by the names of its protocol. No Svelte inside.
import type { ChatProtocol, RequestSettings } from '$lib/api';

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

export interface Fields {
  readonly [name: string]: Json;
}

/** Fields of the Messages API for the settings that it has. */
const ANTHROPIC_NAMES: Readonly<Record<string, string>> = {
  temperature: 'temperature',
  top_p: 'top_p',
  top_k: 'top_k',
  max_tokens: 'max_tokens',
  stop: 'stop_sequences',
};

/** Settings that have a value, as fields of a request. The system prompt is a field or message of its own. */
export function fieldsOf(protocol: ChatProtocol, settings: RequestSettings): Fields {
  if (protocol === 'openai') return { ...given(settings), ...openaiThinking(settings.thinking) };
  const named = Object.entries(given(settings)).flatMap(([name, value]): [string, Json][] => {
    const field = ANTHROPIC_NAMES[name];
    return field === undefined ? [] : [[field, value]];
  });
  return { ...Object.fromEntries(named), ...anthropicThinking(settings.thinking) };
}

/** Settings that have a value, but no field in the protocol. */
export function withoutField(protocol: ChatProtocol, settings: RequestSettings): string[] {
  if (protocol === 'openai') return [];
  return Object.keys(given(settings)).filter((name) => ANTHROPIC_NAMES[name] === undefined);
}

/** Those that are numbers and texts in all protocols. */
function given(settings: RequestSettings): Fields {
  // A chat sends no tools, for which one could be chosen.
  const { system_prompt: _prompt, tool_choice: _choice, thinking: _thinking, ...others } = settings;
  const set = Object.entries(others).filter(([, value]) => value !== null && value !== undefined && !isEmpty(value));
  return Object.fromEntries(set) as Fields;
}

function openaiThinking(thinking: RequestSettings['thinking']): Fields {
  if (typeof thinking === 'boolean') return { chat_template_kwargs: { enable_thinking: thinking } };
  return typeof thinking === 'string' ? { reasoning_effort: thinking } : {};
}

/** `adaptive` leaves it to the model and its template. */
function anthropicThinking(thinking: RequestSettings['thinking']): Fields {
  if (typeof thinking === 'boolean') return { thinking: { type: thinking ? 'adaptive' : 'disabled' } };
  return typeof thinking === 'string' ? { output_config: { effort: thinking } } : {};
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
