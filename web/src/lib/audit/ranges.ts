// Filters of the request table, in the URL. No Svelte inside.
import type { AuditFilter } from '$lib/api';

export const RANGES = [
  { value: '1h', label: 'Last hour', ms: 3_600_000 },
  { value: '24h', label: 'Last 24 hours', ms: 24 * 3_600_000 },
  { value: '7d', label: 'Last 7 days', ms: 7 * 24 * 3_600_000 },
  { value: 'all', label: 'All that is kept', ms: null },
] as const;

export type Range = (typeof RANGES)[number]['value'];

/** Routes that have rows. */
export const ENDPOINTS = [
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/responses',
  '/v1/messages',
  '/v1/messages/count_tokens',
  '/v1/embeddings',
  '/tokenize',
  '/detokenize',
  '/apply-template',
] as const;

/** What the URL selects. */
export interface AuditParameters {
  range: Range;
  /** The exact name that clients sent; all, if null. */
  model: string | null;
  endpoint: string | null;
  /** Only failures. */
  errors: boolean;
}

export function parametersOf(search: URLSearchParams): AuditParameters {
  const range = RANGES.find(({ value }) => value === search.get('range'))?.value ?? '24h';
  return {
    range,
    model: search.get('model') || null,
    endpoint: search.get('endpoint') || null,
    errors: search.get('errors') === '1',
  };
}

/** As the API has it. Rows that arrive later are part of it. */
export function filterOf(parameters: AuditParameters, nowMs: number): AuditFilter {
  const ms = RANGES.find(({ value }) => value === parameters.range)?.ms ?? null;
  return {
    ...(ms === null ? {} : { from_ms: nowMs - ms }),
    ...(parameters.model === null ? {} : { model: parameters.model }),
    ...(parameters.endpoint === null ? {} : { endpoint: parameters.endpoint }),
    ...(parameters.errors ? { min_status: 400 } : {}),
  };
}

/** Whether anything is filtered but the time. */
export function isFiltered(parameters: AuditParameters): boolean {
  return parameters.model !== null || parameters.endpoint !== null || parameters.errors;
}
