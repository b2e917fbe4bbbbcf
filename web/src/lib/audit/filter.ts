/** What the gateway does with a filter, for rows that arrive live. */
import type { AuditFilter, AuditRow, AuditTotals } from '../api/types';

/** Whether a filter selects a row. */
export function matches(row: AuditRow, filter: AuditFilter): boolean {
  return (
    (filter.from_ms == null || row.at_ms >= filter.from_ms) &&
    (filter.until_ms == null || row.at_ms < filter.until_ms) &&
    (filter.model == null || row.model === filter.model) &&
    (filter.endpoint == null || row.endpoint === filter.endpoint) &&
    (filter.min_status == null || row.status >= filter.min_status)
  );
}

/** Sums with one row more. */
export function addToTotals(totals: AuditTotals, row: AuditRow): AuditTotals {
  return {
    requests: totals.requests + 1,
    errors: totals.errors + (row.status >= 400 ? 1 : 0),
    prompt_tokens: totals.prompt_tokens + (row.prompt_tokens ?? 0),
    cached_tokens: totals.cached_tokens + (row.cached_tokens ?? 0),
    completion_tokens: totals.completion_tokens + (row.completion_tokens ?? 0),
    duration_ms: totals.duration_ms + row.duration_ms,
  };
}
