// A run as its events tell it: (state, event) → state. Any tab that has the same snapshot or events has the same state. No Svelte inside.
import type { FinishReason, Message, NewPart, Part, ProblemBody, Run, RunEvent, ToolCall } from '$lib/api';

/** What a tool returned. */
export interface ToolResult {
  content: readonly Part[];
  durationMs: number | null;
}

/** A run that is in progress, or has just ended, with the response so far. */
export interface LiveRun {
  /** Its `seq` is the number of the last event that was applied. */
  readonly run: Run;
  readonly text: string;
  readonly reasoning: string;
  readonly toolCalls: readonly ToolCall[];
  /** Results of tools, by the ids of their calls. */
  readonly results: ReadonlyMap<string, ToolResult>;
  /** Calls that a user has to agree to. */
  readonly approvals: ReadonlySet<string>;
  readonly problem: ProblemBody | null;
  readonly finish: FinishReason | null;
  /** Events that came before one with a lower number, by their numbers. */
  readonly early: ReadonlyMap<number, RunEvent>;
}

const NONE: ReadonlyMap<never, never> = new Map<never, never>();

/** The texts of a message, one after the other. */
export function textOf(parts: readonly (Part | NewPart)[]): string {
  return parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
}

/** A run as of its snapshot: with `message` as it is after the event `run.seq`. */
export function begin(run: Run, message: Message | undefined): LiveRun {
  return {
    run,
    text: textOf(message?.content ?? []),
    reasoning: message?.reasoning ?? '',
    toolCalls: message?.tool_calls ?? [],
    results: NONE,
    approvals: new Set(),
    problem: message?.problem ?? null,
    finish: run.state === 'finished' ? (message?.finish_reason ?? null) : null,
    early: NONE,
  };
}

/** Whether events are missing, so that the run has to be read again. */
export function hasGap({ early }: LiveRun): boolean {
  return early.size > 0;
}

/** Whether no more events follow. */
export function hasEnded({ run }: LiveRun): boolean {
  return run.state === 'finished';
}

/** Applies an event, and those that waited for it. One that was applied before, or is of another run, changes nothing. */
export function apply(state: LiveRun, event: RunEvent): LiveRun {
  if (event.run !== state.run.id || event.seq <= state.run.seq || state.early.has(event.seq)) return state;
  if (event.seq > state.run.seq + 1) return { ...state, early: new Map(state.early).set(event.seq, event) };
  return drain(reduce(state, event));
}

/** A snapshot that was read now, with what an earlier state knows in addition. Whichever has more events wins. */
export function merge(snapshot: LiveRun, earlier: LiveRun | undefined): LiveRun {
  if (earlier === undefined || earlier.run.id !== snapshot.run.id) return snapshot;
  if (earlier.run.seq >= snapshot.run.seq) return earlier;
  const early = [...earlier.early].filter(([seq]) => seq > snapshot.run.seq);
  // Messages do not have results of tools.
  const results = new Map([...earlier.results, ...snapshot.results]);
  const approvals = new Set([...earlier.approvals].filter((id) => !results.has(id)));
  return drain({ ...snapshot, results, approvals, early: new Map(early) });
}

/** Applies events that have become the next ones. */
function drain(state: LiveRun): LiveRun {
  let current = state;
  for (;;) {
    const next = current.early.get(current.run.seq + 1);
    if (next === undefined) return current;
    const early = new Map(current.early);
    early.delete(next.seq);
    current = { ...reduce(current, next), early };
  }
}

/** The next event, which is the one after `state.run.seq`. */
function reduce(state: LiveRun, event: RunEvent): LiveRun {
  const run: Run = { ...state.run, seq: event.seq };
  switch (event.type) {
    case 'waiting': {
      const { for: resource, done, of, holder } = event;
      return { ...state, run: { ...run, state: 'waiting', waiting: { for: resource, done, of, holder } } };
    }
    case 'prefill': {
      const { computed, cached, of } = event;
      return { ...state, run: { ...run, state: 'prefill', waiting: null, prefill: { computed, cached, of } } };
    }
    case 'reasoning':
      return { ...state, run: generating(run), reasoning: state.reasoning + event.text };
    case 'text':
      return { ...state, run: generating(run), text: state.text + event.text };
    case 'tool_call':
      return { ...state, run: generating(run), toolCalls: called(state.toolCalls, event) };
    case 'approval':
      return { ...state, run, approvals: new Set(state.approvals).add(event.id) };
    case 'tool_result': {
      const result = { content: event.content ?? [], durationMs: event.duration_ms ?? null };
      const approvals = new Set(state.approvals);
      approvals.delete(event.id);
      return { ...state, run, approvals, results: new Map(state.results).set(event.id, result) };
    }
    case 'usage':
      return { ...state, run: { ...run, usage: event.usage } };
    case 'error':
      return { ...state, run, problem: event.problem };
    case 'finished':
      return { ...state, run: { ...run, state: 'finished', waiting: null }, finish: event.reason };
  }
}

function generating(run: Run): Run {
  return { ...run, state: 'generating', waiting: null };
}

/** Calls are told apart by their ids; each delta is appended to the arguments. */
function called(calls: readonly ToolCall[], event: RunEvent & { type: 'tool_call' }): readonly ToolCall[] {
  const { id, name, arguments: delta } = event;
  if (!calls.some((call) => call.id === id)) return [...calls, { id, name: name ?? '', arguments: delta }];
  return calls.map((call) =>
    call.id === id ? { id, name: name ?? call.name, arguments: call.arguments + delta } : call,
  );
}
