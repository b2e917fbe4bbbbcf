// What is known of a model, as pairs of a name and a value.

import type { Characteristics } from '$lib/api';
import { bytes, integer } from '$lib/format';
import { kindTexts, parametersText } from './badges';
import type { ModelEntry } from './entry';

export interface Spec {
  name: string;
  value: string;
  /** What the value means, where that is not obvious. */
  note?: string;
}

const sources = {
  hub_cache: 'The cache shared with huggingface_hub',
  models_dir: 'The directory of local models',
  external: 'The directory of another program, which is never changed',
};

export function specs(entry: ModelEntry): Spec[] {
  const found = entry.characteristics;
  const list: (Spec | null)[] = [
    spec('Family', found?.family),
    spec('Architecture', found?.architecture),
    spec('Kind', found && kindTexts[found.kind]),
    spec('Parameters', found?.parameters && parametersText(found.parameters), {
      note: found?.parameters ? integer(found.parameters) : undefined,
    }),
    spec('Weights', found && quantizationText(found)),
    spec('Context', found?.context_length && `${integer(found.context_length)} tokens`),
    spec('Cache per 1,000 tokens', found?.kv_bytes_per_token && bytes(found.kv_bytes_per_token * 1000)),
    spec('Embedding', found?.embedding_dimensions && `${integer(found.embedding_dimensions)} dimensions`),
    spec('Tool-call parser', found?.tool_call_parser),
    spec('Reasoning parser', found?.reasoning_parser),
    spec('Size', entry.sizeBytes === null ? null : bytes(entry.sizeBytes)),
    spec('Stored in', entry.local && sources[entry.local.source], {
      note: entry.local?.path ?? undefined,
    }),
    spec('Task', entry.remote?.pipeline_tag),
  ];
  return list.filter((item) => item !== null);
}

function spec(name: string, value: string | number | null | undefined, more: Partial<Spec> = {}): Spec | null {
  return value ? { name, value: String(value), ...more } : null;
}

/** Nothing is claimed of weights whose quantization is not known. */
function quantizationText(found: Characteristics): string | null {
  const quantization = found.quantization;
  if (!quantization) return null;
  const group = quantization.group_size ? `, groups of ${quantization.group_size}` : '';
  const mode = quantization.mode ? `, ${quantization.mode}` : '';
  return `${quantization.bits}-bit${group}${mode}`;
}
