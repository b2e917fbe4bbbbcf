// Clients for tests.
import type { Client, ClientActivity, ClientRequest } from '$lib/api';

export function client(id: string, changes: Partial<Client> = {}): Client {
  return {
    id,
    name: id,
    kind: 'agent',
    protocol: 'openai_responses',
    description: 'A program.',
    documentation: [],
    install: null,
    context_length: 65_536,
    has_fast_model: false,
    is_recognized: true,
    can_start: true,
    ...changes,
  };
}

export function activity(
  id: string,
  changes: Partial<ClientActivity> = {},
  last: Partial<ClientRequest> = {},
): ClientActivity {
  return {
    client: id,
    requests: 1,
    errors: 0,
    first_at_ms: 1,
    prompt_tokens: 1_000,
    cached_tokens: 0,
    longest_prompt_tokens: 1_000,
    ...changes,
    last: {
      request_id: 'req_1',
      at_ms: 1,
      endpoint: '/v1/responses',
      model: 'coder',
      status: 200,
      error_kind: null,
      prompt_tokens: 1_000,
      cached_tokens: 0,
      completion_tokens: 10,
      ...last,
    },
  };
}
