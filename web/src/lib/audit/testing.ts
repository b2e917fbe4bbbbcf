// Rows for tests.
import type { AuditRow } from '$lib/api';

/** A request that has ended well, with some values changed. */
export function auditRow(changes: Partial<AuditRow> = {}): AuditRow {
  return {
    id: '01890000-0000-7000-8000-000000000001',
    gateway_id: '01890000-0000-7000-8000-0000000000ff',
    request_id: 'req_1',
    at_ms: 1_000,
    endpoint: '/v1/chat/completions',
    model: 'tiny',
    served_by: 'local',
    status: 200,
    error_kind: null,
    finish_reason: 'stop',
    prompt_tokens: 100,
    cached_tokens: 75,
    completion_tokens: 20,
    queue_ms: 1,
    time_to_first_token_ms: 310,
    duration_ms: 1_500,
    ...changes,
  };
}
