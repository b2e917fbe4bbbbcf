/** Flow 3, in a chat: a response waits for the memory of a model that is busy. */

import type { Page } from '@playwright/test';
import { expectComplete, messages, say } from './support/chat';
import { ENDLESS, SECOND, STARTER, type Gateway } from './support/gateway';
import { open } from './support/pages';
import { expect, test } from './support/test';

test.use({ models: [STARTER, SECOND] });

/** A model that writes a long response, and a budget without memory for another one. */
async function fillMemory(gateway: Gateway): Promise<void> {
  const { size } = await gateway.load(STARTER);
  const settings = { ...ENDLESS, max_tokens: 6_000 };
  const chat = await gateway.request<{ id: string }>('POST', '/api/chats', { model: STARTER, settings });
  await gateway.request('POST', `/api/chats/${chat.id}/messages`, { content: [{ type: 'text', text: 'Count.' }] });
  // A model takes less cache where there is less memory, so that the second one may fit at first.
  for (const share of [1.5, 1.2, 1.05]) {
    const budget = Math.round(size.plan_bytes * share);
    await gateway.request('PATCH', '/api/settings', { values: { 'pool.memory_budget_bytes': budget } });
    const plan = await gateway.request<{ outcome: string }>('POST', '/api/pool/plan', { model: SECOND });
    if (plan.outcome === 'waits') return;
  }
  throw new Error('the second model fits in any case');
}

async function waiting(page: Page): Promise<void> {
  await open(page, `/chat?model=${SECOND}`, 'New chat');
  await say(page, 'Say hello.');
  await expect(messages(page).last()).toContainText('Waiting for memory');
}

test('what is busy can be stopped from the response that waits for it', async ({ page, gateway }) => {
  await fillMemory(gateway);
  await waiting(page);
  const last = messages(page).last();
  await last.getByRole('button', { name: /^Stop SmolLM2-135M-Instruct now \(interrupts 1.response\)$/ }).click();
  const question = page.getByRole('alertdialog', { name: `Stop ${STARTER}?` });
  await question.getByRole('button', { name: 'Stop' }).click();
  await expectComplete(page);
  await gateway.waitForState(SECOND, 'ready');
});

test('a response that waits can be stopped, and leaves the busy model alone', async ({ page, gateway }) => {
  await fillMemory(gateway);
  await waiting(page);
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  const last = messages(page).last();
  await expect(last).toContainText('Stopped');
  await expect(last.getByRole('button', { name: /^Stop / })).toHaveCount(0);
  await gateway.waitForState(STARTER, 'ready');
});
