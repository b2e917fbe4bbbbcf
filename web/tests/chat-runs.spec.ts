/** Runs belong to the gateway: they survive reloads, tabs, the network, and what is killed. */

import type { Page } from '@playwright/test';
import { chatId, composer, expectComplete, lastText, messages, row, say } from './support/chat';
import { starterModel } from './support/environment';
import { ENDLESS, SECOND, STARTER, type Gateway } from './support/gateway';
import { open } from './support/pages';
import { Proxy } from './support/proxy';
import { expect, test } from './support/test';

const REPOSITORY = 'mlx-community/Qwen3-0.6B-4bit';

/** A chat whose response is being written, and goes on for long. */
async function writing(page: Page, gateway: Gateway, origin = ''): Promise<string> {
  await gateway.load(STARTER);
  const settings = { ...ENDLESS, max_tokens: 1_500 };
  const chat = await gateway.request<{ id: string }>('POST', '/api/chats', { model: STARTER, settings });
  await page.goto(`${origin}/chat/${chat.id}`);
  await say(page, 'Count.');
  await expectText(page);
  return chat.id;
}

/** There is some text, and more is coming. */
async function expectText(page: Page): Promise<void> {
  await expect(messages(page).last()).toContainText(/tok\/s/);
  await expect(page.getByRole('button', { name: 'Stop', exact: true })).toBeVisible();
}

test('the first message is sent while its model is downloaded, and gets its response', async ({
  page,
  hub,
  gateway,
}) => {
  await hub.add({ id: REPOSITORY, directory: starterModel(), downloads: 1000, weights: 150_000_000 });
  await hub.throttle(40_000_000);
  await page.goto('/');
  await expect(page).toHaveURL(/\/welcome$/);
  await page.getByRole('main').getByRole('button', { name: 'Start', exact: true }).first().click();
  await expect(page).toHaveURL(/\/chat\?model=/);
  await expect(composer(page)).toBeFocused();
  await say(page, 'Say hello.');
  await expect(messages(page).last()).toContainText(/download/i);
  await hub.throttle(null);
  await expectComplete(page);
  await gateway.waitForState(REPOSITORY, 'ready');
});

test.describe('a response that is being written', () => {
  test.use({ models: [STARTER] });

  test('goes on after a reload, and in a second tab and browser, without gaps or duplicates', async ({
    page,
    context,
    browser,
    gateway,
  }) => {
    const id = await writing(page, gateway);
    await page.reload();
    await expectText(page);
    const tab = await context.newPage();
    const device = await browser.newPage();
    for (const other of [tab, device]) {
      await other.goto(`${gateway.url}/chat/${id}`);
      await expectText(other);
    }
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    const all = [page, tab, device];
    for (const each of all) await expect(messages(each).last()).toContainText('Stopped');
    const { messages: stored } = await gateway.waitForResponse(id);
    expect(stored).toHaveLength(2);
    const words = (text: string): string => text.replace(/[^\p{L}\p{N}]+/gu, '');
    const text = words(await lastText(gateway, id));
    expect(text.length).toBeGreaterThan(0);
    for (const each of all) {
      expect(words(await messages(each).last().innerText()), 'the text of each is that of the gateway').toContain(text);
    }
    await device.close();
  });

  test('can be stopped with Escape, keeps its text, and is continued', async ({ page, gateway }) => {
    const id = await writing(page, gateway);
    await composer(page).press('Escape');
    await expect(messages(page).last()).toContainText('Stopped');
    await gateway.waitForResponse(id);
    const text = await lastText(gateway, id);
    await page.getByRole('button', { name: 'Continue' }).click();
    await expectText(page);
    await composer(page).press('Escape');
    await expect(messages(page).last()).toContainText('Stopped');
    await gateway.waitForResponse(id);
    expect((await lastText(gateway, id)).startsWith(text)).toBe(true);
    await expect(messages(page)).toHaveCount(2);
  });

  test('fails in its place when the worker is killed, and another chat does not change', async ({
    page,
    context,
    gateway,
  }) => {
    const { chat } = await gateway.chat(STARTER, 'Hi', { ...ENDLESS, max_tokens: 8 });
    const other = await context.newPage();
    await other.goto(`/chat/${chat.id}`);
    await expect(messages(other)).toHaveCount(2);
    const element = await messages(other).last().elementHandle();

    const id = await writing(page, gateway);
    const [server] = await gateway.servers();
    if (server === undefined) throw new Error('no server runs');
    gateway.killWorker(server);
    const failed = messages(page).last();
    await expect(failed.getByRole('alert')).toBeVisible();
    await expect(failed.getByRole('button', { name: 'Retry here' })).toBeVisible();
    await gateway.waitForResponse(id);
    const text = await lastText(gateway, id);
    expect(text.length, 'the text stays').toBeGreaterThan(0);
    expect(await element?.evaluate((each) => each.isConnected)).toBe(true);

    // The chat has another model now, which is not on this machine: that of the response is used again.
    await gateway.request('PATCH', `/api/chats/${id}`, { model: SECOND });
    await failed.getByRole('button', { name: 'Retry here' }).click();
    await expectText(page);
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
  });

  test('is interrupted when the gateway is killed: its text is there, and it is continued', async ({
    page,
    gateway,
  }) => {
    const id = await writing(page, gateway);
    // The text of the last 500 ms is lost.
    await expect(messages(page).last()).toContainText(/(\S+\s+){30}/);
    await gateway.kill();
    await expect(page.getByText(/unreachable/i).first()).toBeVisible();
    await expect(messages(page)).toHaveCount(2);
    await composer(page).fill('A draft');
    await gateway.start();
    await expect(page.getByText(/unreachable/i)).toHaveCount(0);
    const last = messages(page).last();
    await expect(last).toContainText('Interrupted');
    await expect(composer(page)).toHaveValue('A draft');
    const text = await lastText(gateway, id);
    expect(text.length).toBeGreaterThan(0);
    await last.getByRole('button', { name: 'Continue' }).click();
    await expectText(page);
    await composer(page).press('Escape');
    await gateway.waitForResponse(id);
    expect((await lastText(gateway, id)).startsWith(text)).toBe(true);
  });

  test('goes on while the network is gone', async ({ page, gateway }) => {
    const proxy = await Proxy.start(Number(new URL(gateway.url).port));
    const id = await writing(page, gateway, proxy.url);
    proxy.cut();
    await expect(page.getByText(/unreachable/i).first()).toBeVisible();
    const before = await lastText(gateway, id);
    await expect.poll(async () => (await lastText(gateway, id)).length).toBeGreaterThan(before.length);
    proxy.restore();
    await expect(page.getByText(/unreachable/i)).toHaveCount(0);
    await expectText(page);
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    await expect(messages(page).last()).toContainText('Stopped');
    await proxy.stop();
  });
});

test.describe('a message', () => {
  test.use({ models: [STARTER] });

  test('that cannot be sent waits, and is sent once when the network is back', async ({ page, gateway }) => {
    await gateway.load(STARTER);
    const settings = { ...ENDLESS, max_tokens: 8 };
    const chat = await gateway.request<{ id: string }>('POST', '/api/chats', { model: STARTER, settings });
    const proxy = await Proxy.start(Number(new URL(gateway.url).port));
    await open(page, `${proxy.url}/chat/${chat.id}`, /\S/);
    proxy.cut();
    await expect(page.getByText(/unreachable/i).first()).toBeVisible();
    await say(page, 'Are you there?');
    await expect(page.getByText('The gateway does not respond. The message is sent as soon as it does.')).toBeVisible();
    proxy.restore();
    await expect(page.getByText(/unreachable/i)).toHaveCount(0);
    await expect(messages(page)).toHaveCount(2);
    await expectComplete(page);
    const { messages: stored } = await gateway.waitForResponse(chat.id);
    expect(stored).toHaveLength(2);
    await proxy.stop();
  });

  // All chats, and those of the server.
  for (const address of ['/chat?chats=all', '/chat']) {
    test(`begins a chat that another tab shows at once: ${address}`, async ({ page, context, gateway }) => {
      await gateway.load(STARTER);
      const other = await context.newPage();
      await open(other, address, 'New chat');
      await open(page, '/chat', 'New chat');
      await say(page, 'Say hello.');
      const id = await chatId(page);
      await other.getByRole('button', { name: /1 new/ }).click();
      await expect(row(other, id)).toBeVisible();
    });
  }
});
