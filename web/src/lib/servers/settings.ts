// What a server was started with, in words. No Svelte inside.
import type { Server } from '$lib/api';
import { integer } from '$lib/format';

export interface SettingRow {
  label: string;
  value: string;
}

/** Its size and the settings that are not the model's defaults, and the process. */
export function settingRows(server: Server): SettingRow[] {
  const { settings, size } = server;
  const rows: [string, string | number | null | undefined][] = [
    [
      'Context',
      `${integer(size.context_length)} tokens${settings.context_length == null ? ', chosen by what fits' : ''}`,
    ],
    ['KV cache', `${integer(size.kv_pool_tokens)} tokens for all sequences`],
    ['Sequences', settings.max_sequences],
    ['Tokens per step', settings.max_batch_tokens],
    ['Type of the KV cache', settings.kv_cache_dtype],
    ['Type of activations', settings.activation_dtype],
    ['Device', settings.device],
    ['Draft model', settings.draft_model],
    ['Adapters', settings.adapters?.join(', ')],
    ['Chat template', settings.chat_template_file],
    ['Tool call parser', settings.tool_call_parser],
    ['Reasoning parser', settings.reasoning_parser],
    ['Process', server.pid],
    ['Port on this machine', server.port],
    ['Version', server.version],
    ['Folder', server.path],
  ];
  return rows
    .filter(([, value]) => value !== null && value !== undefined && value !== '')
    .map(([label, value]) => ({ label, value: String(value) }));
}
