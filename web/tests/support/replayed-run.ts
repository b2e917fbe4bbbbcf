/** A response that is written in the page only: the events of its run, as the gateway sends them. See `EventProxy`. */

import type { Page } from '@playwright/test';
import type { components } from '../../src/lib/api/schema';
import type { StreamEvent } from '../../src/lib/api/types';

type Schemas = components['schemas'];
type RunEvent = Schemas['RunEvent'];
/** What differs from event to event of a run, and of a chat. */
type Body = RunEvent extends infer Event ? (Event extends unknown ? Omit<Event, 'run' | 'seq'> : never) : never;
type Change = Schemas['ChatEvent'] extends infer Event ? (Event extends unknown ? Omit<Event, 'id'> : never) : never;

export class ReplayedRun {
  private seq = 0;
  private tokens = 0;
  private text = '';
  private readonly run: string;
  private readonly question: Schemas['Message'];
  private readonly response: Schemas['Message'];

  /** The run after a message of a chat; `number`: which one of the test, from 0. */
  constructor(
    private readonly chat: Schemas['Chat'],
    parent: string | null,
    number: number,
  ) {
    // Later than all that the gateway has made.
    const id = (kind: number): string => {
      const count = (3 * number + kind).toString(16).padStart(12, '0');
      return `ffffffff-0000-7000-8000-${count}`;
    };
    const at = { created_at_ms: 1_800_000_000_000 + number };
    this.run = id(2);
    this.question = {
      id: id(0),
      parent_id: parent,
      role: 'user',
      content: [{ type: 'text', text: `Question ${number + 1}` }],
      state: 'complete',
      ...at,
    };
    this.response = {
      id: id(1),
      parent_id: id(0),
      role: 'assistant',
      content: [],
      state: 'running',
      model: chat.model ?? null,
      run: this.run,
      ...at,
    };
  }

  /** The id of the response. */
  get message(): string {
    return this.response.id;
  }

  begin(): StreamEvent[] {
    const run: Schemas['Run'] = {
      id: this.run,
      chat: this.chat.id,
      message: this.response.id,
      seq: 0,
      state: 'generating',
      model: this.chat.model ?? '',
      protocol: 'openai',
      request_id: `run_${this.run}`,
      started_at_ms: this.response.created_at_ms,
    };
    return [
      this.event({ type: 'messages', messages: [this.question, this.response] }),
      this.event({ type: 'changed', chat: { ...this.chat, leaf_id: this.response.id } }),
      this.event({ type: 'started', run }),
    ];
  }

  /** More text, an event for each of the parts. */
  write(parts: readonly string[]): StreamEvent[] {
    this.text += parts.join('');
    this.tokens += parts.length;
    return parts.map((text) => this.runEvent({ type: 'text', text }));
  }

  /** The number of parts so far, which the page shows below the text. */
  count(): StreamEvent {
    return this.runEvent({ type: 'usage', usage: this.usage });
  }

  end(): StreamEvent[] {
    const complete: Schemas['Message'] = {
      ...this.response,
      content: [{ type: 'text', text: this.text }],
      state: 'complete',
      finish_reason: 'stop',
      usage: this.usage,
    };
    return [
      this.runEvent({ type: 'finished', reason: 'stop' }),
      this.event({ type: 'messages', messages: [complete] }),
    ];
  }

  /** Waits until the page has all parts that were counted. */
  async shown(page: Page): Promise<void> {
    await page.evaluate(
      (text) =>
        new Promise<void>((resolve) => {
          const check = (): void => {
            const last = [...document.querySelectorAll('[data-message]')].at(-1);
            if (last?.textContent?.includes(text)) resolve();
            else requestAnimationFrame(check);
          };
          check();
        }),
      `${this.tokens.toLocaleString('en-US')}\u00a0token`,
    );
  }

  private get usage(): Schemas['Usage'] {
    const { tokens } = this;
    return { prompt_tokens: 10, cached_tokens: 0, completion_tokens: tokens, queue_ms: 0, duration_ms: 5 * tokens };
  }

  private runEvent(body: Body): StreamEvent {
    this.seq += 1;
    return this.event({ type: 'run', event: { ...body, run: this.run, seq: this.seq } as RunEvent });
  }

  private event(change: Change): StreamEvent {
    return { topic: 'chat', event: { ...change, id: this.chat.id } as Schemas['ChatEvent'] };
  }
}
