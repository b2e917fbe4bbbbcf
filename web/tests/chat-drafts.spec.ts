/** What is written, attached or on its way is never lost: other chats, reloads and failures. */

import type { Page } from '@playwright/test';
import { attach, composer, hold, messages, row, say } from './support/chat';
import { ENDLESS, STARTER, type Gateway } from './support/gateway';
import { open } from './support/pages';
import { expect, test } from './support/test';

test.use({ models: [STARTER] });

const SHORT = { ...ENDLESS, max_tokens: 8 };
const WAITING = 'The gateway does not respond. The message is sent as soon as it does.';

/** Two chats with a response. */
async function two(gateway: Gateway): Promise<[string, string]> {
  await gateway.load(STARTER);
  const first = await gateway.chat(STARTER, 'One', SHORT);
  const second = await gateway.chat(STARTER, 'Two', SHORT);
  return [first.chat.id, second.chat.id];
}

/** No message reaches the gateway, until the function is called that it returns. */
async function cut(page: Page): Promise<() => Promise<void>> {
  const address = /\/api\/chats\/[^/]+\/messages$/;
  await page.route(address, (route) => route.abort());
  return () => page.unroute(address);
}

function sendButton(page: Page, reason: RegExp) {
  return page.getByRole('button', { name: new RegExp(`^Send\\s*: ${reason.source}`) });
}

test('a message that waits is a draft again after another chat was opened, and after a reload', async ({
  page,
  gateway,
}) => {
  const [first, second] = await two(gateway);
  await page.goto(`/chat/${first}`);
  await expect(messages(page)).toHaveCount(2);
  const connect = await cut(page);
  await say(page, 'Are you there?');
  await expect(page.getByText(WAITING)).toBeVisible();
  await composer(page).fill('Second');
  const send = sendButton(page, /The message before is not sent yet\./);
  await expect(send).toHaveAttribute('aria-disabled', 'true');

  await row(page, second).click();
  await expect(composer(page)).toHaveValue('');
  await row(page, first).click();
  await expect(composer(page)).toHaveValue('Are you there?\nSecond');
  await expect(page.getByText(WAITING)).toHaveCount(0);

  await composer(page).press('Enter');
  await expect(page.getByText(WAITING)).toBeVisible();
  await page.reload();
  await expect(composer(page)).toHaveValue('Are you there?\nSecond');
  await expect(messages(page)).toHaveCount(2);
  await connect();
  await composer(page).press('Enter');
  await expect(messages(page)).toHaveCount(4);
  await expect(composer(page)).toHaveValue('');
  expect((await gateway.waitForResponse(first)).messages).toHaveLength(4);
});

test('a message that is on its way arrives although another chat is opened', async ({ page, gateway }) => {
  const [first, second] = await two(gateway);
  await page.goto(`/chat/${first}`);
  await expect(messages(page)).toHaveCount(2);
  const release = await hold(page, 'POST', /\/api\/chats\/[^/]+\/messages$/);
  await say(page, 'More');
  await expect(page.getByRole('listitem', { name: 'Your message, not sent yet' })).toBeVisible();
  await row(page, second).click();
  await expect(messages(page).first()).toContainText('Two');
  release();
  await row(page, first).click();
  await expect(messages(page)).toHaveCount(4);
  await expect(composer(page)).toHaveValue('');
});

test('attached files are there again in their chat, after a reload, and with a message that was not sent', async ({
  page,
  gateway,
}) => {
  const [first, second] = await two(gateway);
  await page.goto(`/chat/${first}`);
  await expect(messages(page)).toHaveCount(2);
  await attach(page, 'retry.rs', 'fn main() {}');
  const file = page.getByRole('button', { name: 'Remove retry.rs' });
  await expect(file).toBeVisible();
  await expect(page.getByText('storing')).toHaveCount(0);
  await row(page, second).click();
  await expect(file).toHaveCount(0);
  await row(page, first).click();
  await expect(file).toBeVisible();
  await page.reload();
  await expect(file).toBeVisible();

  const connect = await cut(page);
  await say(page, 'Explain');
  await expect(page.getByText(WAITING)).toBeVisible();
  await expect(file).toHaveCount(0);
  await page.getByRole('button', { name: 'Cancel' }).click();
  await expect(file).toBeVisible();
  await expect(composer(page)).toHaveValue('Explain');
  await connect();
  await composer(page).press('Enter');
  await expect(messages(page).nth(2)).toContainText('retry.rs');
});

test('a message is not sent without a file that was not stored', async ({ page, gateway }) => {
  await gateway.load(STARTER);
  await open(page, '/chat', 'New chat');
  const body = { type: 'urn:mlxm:error:x', title: 'Full', status: 507, detail: 'The disk is full.', code: 'disk_full' };
  await page.route('**/api/attachments', (route) =>
    route.fulfill({ status: 507, contentType: 'application/problem+json', body: JSON.stringify(body) }),
  );
  await composer(page).fill('Explain');
  await attach(page, 'retry.rs', 'fn main() {}');
  await expect(page.getByText('The disk is full.')).toBeVisible();
  const send = sendButton(page, /A file was not stored\. Remove it, or attach it again\./);
  await expect(send).toHaveAttribute('aria-disabled', 'true');
  await page.getByRole('button', { name: 'Remove retry.rs' }).click();
  await expect(page.getByRole('button', { name: 'Send', exact: true })).toBeEnabled();
});

test('a chat that is being created does not come back when another one is opened', async ({ page, gateway }) => {
  const [first] = await two(gateway);
  await open(page, '/chat', 'New chat');
  const release = await hold(page, 'POST', /\/api\/chats$/);
  await say(page, 'Three');
  await expect(page.getByRole('button', { name: 'Sending' })).toBeVisible();
  await row(page, first).click();
  await expect(messages(page).first()).toContainText('One');
  await composer(page).fill('For this chat');
  release();
  const counts = async () => {
    const { chats } = await gateway.get<{ chats: { chat: { message_count: number } }[] }>('/api/chats');
    return chats.map(({ chat }) => chat.message_count);
  };
  await expect.poll(counts).toEqual([2, 2, 2]);
  await expect(page).toHaveURL(new RegExp(`/chat/${first}$`));
  await expect(messages(page).first()).toContainText('One');
  await expect(composer(page)).toHaveValue('For this chat');
  // It was sent, and is not written a second time.
  await page.getByRole('button', { name: 'New chat' }).click();
  await expect(composer(page)).toHaveValue('');
});

test('nothing of a temporary chat is in the browser, nor in the list', async ({ page, gateway }) => {
  await gateway.load(STARTER);
  await open(page, '/chat', 'New chat');
  const drafts = () => page.evaluate(() => localStorage.getItem('mlxm.drafts') ?? '');
  await composer(page).fill('Tell no one');
  await expect.poll(drafts).toContain('Tell no one');
  await page.getByRole('button', { name: 'More about this chat' }).click();
  await page.getByRole('menuitem', { name: 'Temporary: do not store' }).click();
  await expect(page.getByText('Temporary: this chat is not stored')).toBeVisible();
  expect(await drafts()).toBe('');
  await composer(page).press('Enter');
  await expect(messages(page)).toHaveCount(2);
  await composer(page).fill('Nor this');
  await page.goto('/servers');
  expect(await drafts()).toBe('');
  expect(await gateway.get<{ chats: unknown[] }>('/api/chats')).toMatchObject({ chats: [] });
});
