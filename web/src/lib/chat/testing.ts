// Chats, messages and runs for tests.
import type { Chat, Message, Run, RunEvent } from '$lib/api';

/** What differs from event to event of a run. */
export type RunEventBody = RunEvent extends infer Event
  ? Event extends unknown
    ? Omit<Event, 'run' | 'seq'>
    : never
  : never;

export function chat(id: string, fields: Partial<Chat> = {}): Chat {
  return {
    id,
    title: `Chat ${id}`,
    model: 'tiny',
    protocol: 'openai',
    persona_id: null,
    system_prompt: null,
    settings: {},
    tags: [],
    is_pinned: false,
    is_temporary: false,
    leaf_id: null,
    message_count: 0,
    created_at_ms: 1,
    updated_at_ms: 1,
    deleted_at_ms: null,
    ...fields,
  };
}

export function question(id: string, text: string, fields: Partial<Message> = {}): Message {
  return {
    id,
    parent_id: null,
    role: 'user',
    content: [{ type: 'text', text }],
    state: 'complete',
    created_at_ms: 1,
    ...fields,
  };
}

export function response(id: string, text: string, fields: Partial<Message> = {}): Message {
  return { ...question(id, text), role: 'assistant', model: 'tiny', run: `run-${id}`, ...fields };
}

/** The run that writes a response. */
export function run(message: string, fields: Partial<Run> = {}): Run {
  return {
    id: `run-${message}`,
    chat: 'c',
    message,
    seq: 0,
    state: 'waiting',
    model: 'tiny',
    protocol: 'openai',
    request_id: `req-${message}`,
    waiting: null,
    prefill: null,
    usage: null,
    started_at_ms: 1,
    finished_at_ms: null,
    ...fields,
  };
}

/** Numbers the events of a run. */
export function recorded(id: string, bodies: readonly RunEventBody[]): RunEvent[] {
  return bodies.map((body, index) => ({ ...body, run: id, seq: index + 1 }) as RunEvent);
}
