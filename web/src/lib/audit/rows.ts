// Rows of the request table in words. No Svelte inside.
import type { AuditRow, AuditTotals } from '$lib/api';
import { count, integer, milliseconds, percent, plural } from '$lib/format';
import type { Tone } from '$lib/ui';

export function statusTone(status: number): Tone {
  if (status >= 500) return 'bad';
  if (status === 499) return 'neutral';
  return status >= 400 ? 'warn' : 'ok';
}

/** The status with its cause: `200`, `499 cancelled`, `503 queue_timeout`. */
export function statusText(row: AuditRow): string {
  if (row.status === 499) return '499 cancelled';
  return row.error_kind ? `${row.status} ${row.error_kind}` : String(row.status);
}

/** Tokens of prompt and response; a dash if nothing was computed. */
export function tokensText(row: AuditRow): string {
  const { prompt_tokens: prompt, completion_tokens: completion } = row;
  if (prompt == null && completion == null) return '–';
  return `${integer(prompt ?? 0)} → ${integer(completion ?? 0)}`;
}

/** Part of the prompt that was in the prefix cache; a dash without a prompt. */
export function cachedText(row: AuditRow): string {
  return row.cached_tokens == null || !row.prompt_tokens ? '–' : percent(row.cached_tokens / row.prompt_tokens);
}

/** Sums in one line, as parts. */
export function totalsParts(totals: AuditTotals): string[] {
  const parts = [plural(totals.requests, 'request')];
  if (totals.errors > 0) parts.push(`${integer(totals.errors)} failed`);
  const cached = totals.prompt_tokens > 0 ? `, ${percent(totals.cached_tokens / totals.prompt_tokens)} cached` : '';
  parts.push(`${count(totals.prompt_tokens)} prompt tokens${cached}`, `${count(totals.completion_tokens)} generated`);
  if (totals.requests > 0) parts.push(`${milliseconds(totals.duration_ms / totals.requests)} on average`);
  return parts;
}

/** All that is known about a row. */
export function detailsOf(row: AuditRow, exact: (ms: number) => string): { label: string; value: string }[] {
  const known = (value: number | null | undefined, format: (value: number) => string) =>
    value == null ? null : format(value);
  const details: [string, string | null | undefined][] = [
    ['Time', exact(row.at_ms)],
    ['Model', row.model],
    ['Served by', row.served_by],
    ['Route', row.endpoint],
    ['Status', statusText(row)],
    ['Ended because of', row.finish_reason],
    ['Prompt tokens', known(row.prompt_tokens, integer)],
    ['Cached tokens', known(row.cached_tokens, integer)],
    ['Generated tokens', known(row.completion_tokens, integer)],
    ['Time in queues', known(row.queue_ms, milliseconds)],
    ['Time to first token', known(row.time_to_first_token_ms, milliseconds)],
    ['Whole time', milliseconds(row.duration_ms)],
    ['Request id', row.request_id],
  ];
  return details.flatMap(([label, value]) => (value == null || value === '' ? [] : [{ label, value }]));
}
