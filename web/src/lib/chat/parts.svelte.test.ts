import { beforeEach, describe, expect, test, vi } from 'vitest';
import { render } from 'vitest-browser-svelte';
import type { Run, Usage } from '$lib/api';
import { expectAccessible, inBothThemes, useTheme } from '$lib/ui/testing';
import { contextUse } from './context';
import ContextMeter from './ContextMeter.svelte';
import OutgoingMessage from './OutgoingMessage.svelte';
import ResponseMetrics from './ResponseMetrics.svelte';
import RunStatus from './RunStatus.svelte';
import { OpenChat } from './store.svelte';
import { run } from './testing';
import Thinking from './Thinking.svelte';
import ToolCallView from './ToolCallView.svelte';

const HOSTILE = '<img src=x onerror=alert(1)>';
const usage: Usage = {
  prompt_tokens: 100,
  cached_tokens: 98,
  completion_tokens: 41,
  queue_ms: 0,
  time_to_first_token_ms: 310,
  reasoning_ms: 12_000,
  duration_ms: 1_310,
};

inBothThemes('a part of a chat', (theme) => {
  beforeEach(() => useTheme(theme));

  test('the numbers of a response', async () => {
    const { container, getByText } = await render(ResponseMetrics, { usage });
    await expect.element(getByText(/TTFT 0\.31.s/)).toBeVisible();
    await expect.element(getByText('40.0 tok/s')).toBeVisible();
    await expect.element(getByText('98% cached')).toBeVisible();
    await expectAccessible(container);
  });

  test('a run that waits says for what, with a bar', async () => {
    const waiting: Run = run('m', { waiting: { for: 'start', done: 1e9, of: 4e9 } });
    const { container, getByText, getByRole } = await render(RunStatus, { run: waiting });
    await expect.element(getByText(/tiny is starting\. 1\.0.GB of 4\.0.GB loaded\./)).toBeVisible();
    await expect.element(getByRole('progressbar')).toHaveAttribute('aria-valuenow', '25');
    await expectAccessible(container);
  });

  test('what was thought is a line, and unfolds', async () => {
    const { container, getByText } = await render(Thinking, {
      text: 'First, the *order*.',
      isStreaming: false,
      reasoningMs: 12_000,
      tokens: 840,
    });
    await expect.element(getByText(/Thought for 12.s, 840.tokens/)).toBeVisible();
    await getByText(/Thought for/).click();
    await expect.element(getByText('order')).toBeVisible();
    await expectAccessible(container);
  });

  test('a call of a tool shows its arguments, state and result', async () => {
    const { container, getByText } = await render(ToolCallView, {
      call: { id: 'a', name: 'read_file', arguments: '{"path": "src/retry.rs"}' },
      result: { content: [{ type: 'text', text: 'fn retry()' }], durationMs: 14 },
      isWriting: false,
      needsApproval: false,
    });
    await expect.element(getByText('src/retry.rs')).toBeVisible();
    await expect.element(getByText(/ok, 14.ms/)).toBeVisible();
    await getByText('read_file').click();
    await expect.element(getByText('fn retry()')).toBeVisible();
    await expectAccessible(container);
  });

  test('the context meter offers something when it is almost full', async () => {
    const counted = { system: 100, history: 800, attachments: 0, draft: 20 };
    const raised = vi.fn();
    const { container, getByRole, getByText } = await render(ContextMeter, {
      use: contextUse(counted, 1_024, null, true),
      raise: { contextLength: 2_048, detail: ' (+1.2 GB, fits)' },
      onraise: raised,
      onnew: () => undefined,
    });
    await expect.element(getByRole('meter', { name: 'Context' })).toHaveAttribute('aria-valuenow', '920');
    await expect.element(getByText(/920 of 1,024.tokens/)).toBeVisible();
    await getByRole('button', { name: /Raise the context to 2k/ }).click();
    expect(raised).toHaveBeenCalledOnce();
    await getByRole('button', { name: /920 of 1,024/ }).click();
    const parts = getByRole('dialog', { name: 'Tokens of the next request' });
    await expect.element(parts.getByText('Left for the response')).toBeVisible();
    await expect.element(parts.getByText('800')).toBeVisible();
    await expectAccessible(container);
  });
});

describe('texts of models and users', () => {
  test('stay text', async () => {
    const thinking = await render(Thinking, { text: HOSTILE, isStreaming: true, reasoningMs: null, tokens: null });
    const tool = await render(ToolCallView, {
      call: { id: 'a', name: HOSTILE, arguments: JSON.stringify({ [HOSTILE]: HOSTILE }) },
      result: undefined,
      isWriting: true,
      needsApproval: false,
    });
    const outgoing = await render(OutgoingMessage, {
      message: { key: 'k', content: [{ type: 'text', text: HOSTILE }], options: {}, problem: null, isRejected: false },
      chat: new OpenChat('c'),
      onback: () => undefined,
    });
    for (const { container } of [thinking, tool, outgoing]) {
      expect(container.querySelector('img')).toBeNull();
      expect(container.textContent).toContain(HOSTILE);
    }
  });
});
