// What a run does, and how a response ended, in words. No Svelte inside.
import type { FinishReason, Message, Run, Usage, Waiting } from '$lib/api';
import { bytes, decimal, duration, integer, milliseconds, percent, plural, remaining } from '$lib/format';

/** What a run waits for. `elapsedMs`: since it began, for the time left. */
export function waitingText(waiting: Waiting, model: string, elapsedMs: number | null): string {
  const { done, of, holder } = waiting;
  const amounts =
    typeof done === 'number' && typeof of === 'number' && of > 0 ? `${bytes(done)} of ${bytes(of)}` : null;
  switch (waiting.for) {
    case 'download': {
      const left = amounts === null ? null : timeLeft(done ?? 0, of ?? 0, elapsedMs);
      const start = left === null ? `Waiting for the download of ${model}.` : `Starting in ${left}.`;
      return amounts === null ? start : `${start} ${amounts} downloaded.`;
    }
    case 'start':
      return amounts === null ? `${model} is starting.` : `${model} is starting. ${amounts} loaded.`;
    case 'memory':
      return holder ? `Waiting for memory, which ${holder} uses.` : 'Waiting for memory.';
    case 'queue':
      return holder ? `Waiting for ${holder}.` : `Waiting until ${model} is free: it is busy with other responses.`;
  }
}

function timeLeft(done: number, of: number, elapsedMs: number | null): string | null {
  // The first moments say nothing about the speed.
  if (elapsedMs === null || elapsedMs < 2_000 || done <= 0) return null;
  return remaining((elapsedMs / 1000 / done) * (of - done));
}

/** How far a run is that has no text yet; null once it has. */
export function progressText(run: Run, nowMs: number): string | null {
  if (run.state === 'waiting') {
    return run.waiting ? waitingText(run.waiting, run.model, nowMs - run.started_at_ms) : `Sending to ${run.model}.`;
  }
  if (run.state !== 'prefill') return null;
  const { computed, of } = run.prefill ?? { computed: 0, of: 0 };
  return of > 0 ? `Reading the prompt: ${integer(computed)} of ${plural(of, 'token')}.` : 'Reading the prompt.';
}

/** Tokens per second after the first one; null before there are some. */
export function tokensPerSecond(usage: Usage): number | null {
  const generationMs = usage.duration_ms - usage.queue_ms - (usage.time_to_first_token_ms ?? 0);
  return usage.completion_tokens > 1 && generationMs > 0 ? ((usage.completion_tokens - 1) * 1000) / generationMs : null;
}

/** A number of the line below a response. */
export interface Metric {
  text: string;
  /** What it means. */
  title: string;
}

/** The numbers of a response, in their order. */
export function metrics(usage: Usage): Metric[] {
  const speed = tokensPerSecond(usage);
  const first = usage.time_to_first_token_ms;
  const cached = usage.prompt_tokens > 0 ? usage.cached_tokens / usage.prompt_tokens : null;
  const all: (Metric | null)[] = [
    typeof first === 'number' ? { text: `TTFT ${milliseconds(first)}`, title: 'Time to the first token' } : null,
    speed === null ? null : { text: `${decimal(speed, 1)} tok/s`, title: 'Generated tokens per second' },
    { text: plural(usage.completion_tokens, 'token'), title: 'Tokens of the response' },
    cached === null
      ? null
      : { text: `${percent(cached)} cached`, title: `Of ${plural(usage.prompt_tokens, 'token')} of the prompt` },
    // Less is not worth a number.
    usage.queue_ms >= 100
      ? { text: `waited ${milliseconds(usage.queue_ms)}`, title: 'Time until a server had the request' }
      : null,
  ];
  return all.filter((metric) => metric !== null);
}

/** Why a response has ended. One of a gateway that was killed has no reason of its own. */
export function endOf({ state, finish_reason }: Message): FinishReason | null {
  return finish_reason ?? (state === 'interrupted' ? 'interrupted' : null);
}

/** What is not normal about the end of a response; null if nothing is. */
export function endingText(reason: FinishReason | null | undefined, tokens: number | null): string | null {
  const after = tokens !== null && tokens > 0 ? ` after ${plural(tokens, 'token')}` : '';
  switch (reason) {
    case 'length':
      return `Ended${after}: the limit of tokens or the context was reached.`;
    case 'stopped':
      return `Stopped${after}.`;
    case 'interrupted':
      return `Interrupted${after}: the gateway exited. The text is kept.`;
    default:
      return null;
  }
}

/** The head of what a model thought: with the time and the tokens, as far as they are known. */
export function thoughtText(reasoningMs: number | null, tokens: number | null, isStreaming: boolean): string {
  const verb = isStreaming ? 'Thinking' : 'Thought';
  const time = reasoningMs === null ? '' : ` for ${duration(Math.max(1, Math.round(reasoningMs / 1000)))}`;
  return tokens === null || tokens === 0 ? `${verb}${time}` : `${verb}${time}, ${plural(tokens, 'token')}`;
}

/** What a screen reader says once a response is there. */
export function completeText(message: Pick<Message, 'state'>, text: string): string {
  const words = text.split(/\s+/u).filter((word) => word !== '').length;
  switch (message.state) {
    case 'failed':
      return 'Response failed';
    case 'stopped':
      return `Response stopped, ${plural(words, 'word')}`;
    case 'interrupted':
      return `Response interrupted, ${plural(words, 'word')}`;
    default:
      return `Response complete, ${plural(words, 'word')}`;
  }
}
