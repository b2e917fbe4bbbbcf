// What a failed server needs: one step that most likely helps. No Svelte inside.
import type { LoadSettings, Server } from '$lib/api';

/** One button of a failed server. */
export type Remedy =
  /** The same start again. */
  | { type: 'start' }
  /** With a context of this many tokens, which needs less memory. */
  | { type: 'smaller_context'; contextLength: number }
  /** The files of the model are damaged or not supported: its page verifies and downloads them again. */
  | { type: 'check_model' }
  /** A setting of this profile is not accepted. */
  | { type: 'edit_profile'; profile: string };

/** Context lengths as the gateway chooses them. */
export const CONTEXTS: readonly number[] = [131_072, 65_536, 32_768, 16_384, 8_192, 4_096];

/** Codes of checkpoints that fail again until their files change. */
const CHECKPOINT = new Set([
  'corrupt_weights',
  'missing_tensors',
  'unknown_tensors',
  'duplicate_tensor',
  'invalid_tensor',
  'invalid_config',
  'invalid_tokenizer',
  'model_not_found',
  'not_a_model',
  'unsupported_architecture',
  'unsupported_quantization',
]);

const MEMORY = new Set(['killed_externally', 'does_not_fit', 'model_does_not_fit']);

/** What the user can do about a failure. */
export function remedy(server: Server): Remedy {
  const code = server.failure?.code ?? '';
  if (CHECKPOINT.has(code)) return { type: 'check_model' };
  const profile = server.profiles[0];
  if (code === 'invalid_option' && profile !== undefined) return { type: 'edit_profile', profile };
  if (MEMORY.has(code) || wasKilledForMemory(server)) {
    const contextLength = smallerContext(server.size.context_length);
    if (contextLength !== null) return { type: 'smaller_context', contextLength };
  }
  return { type: 'start' };
}

/** The next smaller context that is worth a try; null if it is small already. */
export function smallerContext(contextLength: number): number | null {
  return CONTEXTS.find((context) => context < contextLength) ?? null;
}

/** The settings of a server with another context. Its cache was sized for the earlier one. */
export function withContext(settings: LoadSettings, contextLength: number): LoadSettings {
  const { kv_pool_tokens: _, ...others } = settings;
  return { ...others, context_length: contextLength };
}

/** A crash loop has a code of its own; its cause is in the message. */
function wasKilledForMemory(server: Server): boolean {
  return server.failure?.code === 'crash_loop' && server.failure.message.includes('lack of memory');
}
