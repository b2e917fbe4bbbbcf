/** The list of chats next to the one that is open: it keeps its place, and says what it has. */

import { hold, messages, row } from './support/chat';
import { ENDLESS, SECOND, STARTER } from './support/gateway';
import { open } from './support/pages';
import { expect, test } from './support/test';

test.use({ models: [STARTER, SECOND] });

const SHORT = { ...ENDLESS, max_tokens: 8 };

test('opening another chat keeps the list and the panel, and shows at once what is known', async ({
  page,
  gateway,
}) => {
  await gateway.load(STARTER);
  const first = await gateway.chat(STARTER, 'One', SHORT);
  const second = await gateway.chat(STARTER, 'Two', SHORT);
  await page.goto(`/chat/${first.chat.id}?chats=all&panel=log`);
  await expect(messages(page)).toHaveCount(2);
  await expect(row(page, second.chat.id)).toBeVisible();
  const lists: string[] = [];
  page.on('request', (request) => {
    if (/\/api\/chats(\?|$)/.test(request.url())) lists.push(request.url());
  });
  const release = await hold(page, 'GET', new RegExp(`/api/chats/${second.chat.id}$`));
  await row(page, second.chat.id).click();
  await expect(page).toHaveURL(new RegExp(`/chat/${second.chat.id}\\?chats=all&panel=log$`));
  await expect(page.getByRole('heading', { level: 1, name: 'Two' })).toBeVisible();
  await expect(page.getByRole('combobox', { name: 'Model of this chat' })).toHaveValue(STARTER);
  release();
  await expect(messages(page).first()).toContainText('Two');
  await page.getByRole('button', { name: 'New chat' }).click();
  await expect(page).toHaveURL(/\/chat\?chats=all&panel=log$/);
  expect(lists, 'the list is not read again').toEqual([]);
});

test('the list of a model stays that of the model in chats of the same one', async ({ page, gateway }) => {
  await gateway.load(STARTER);
  const first = await gateway.chat(STARTER, 'One', SHORT);
  const second = await gateway.chat(STARTER, 'Two', SHORT);
  const other = await gateway.request<{ id: string }>('POST', '/api/chats', { model: SECOND, title: 'Other' });
  const read = page.waitForResponse(/\/api\/chats\?server=/);
  await page.goto(`/chat/${first.chat.id}`);
  await read;
  await expect(row(page, second.chat.id)).toBeVisible();
  await expect(row(page, other.id)).toHaveCount(0);
  const lists: string[] = [];
  page.on('request', (request) => {
    if (/\/api\/chats(\?|$)/.test(request.url())) lists.push(request.url());
  });
  await row(page, second.chat.id).click();
  await expect(messages(page).first()).toContainText('Two');
  expect(lists).toEqual([]);
});

test('an empty list says for which model, and a search looks at all chats', async ({ page, gateway }) => {
  await gateway.load(STARTER);
  await gateway.request('POST', '/api/chats', { model: SECOND, title: 'A zebra' });
  const untitled = await gateway.request<{ id: string }>('POST', '/api/chats', { model: SECOND });
  await open(page, `/chat?model=${STARTER}`, 'New chat');
  const list = page.getByRole('navigation', { name: 'Chats' });
  await expect(list).toContainText(`No chats with ${STARTER} yet.`);
  const all = page.getByRole('radio', { name: 'All', exact: true });
  await expect(all).not.toBeChecked();

  const search = page.getByRole('textbox', { name: 'Search chats' });
  await search.fill('zebra');
  await expect(list.getByRole('listitem')).toHaveCount(1);
  await expect(all).toBeChecked();
  await search.fill('giraffe');
  await expect(list).toContainText('No chat matches.');
  await list.getByRole('button', { name: 'Show all' }).click();
  await expect(row(page, untitled.id)).toContainText('Untitled chat');
  await row(page, untitled.id).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Untitled chat' })).toBeVisible();
});

test('tags filter the list, and a pinned chat is in a group of its own', async ({ page, gateway }) => {
  await gateway.load(STARTER);
  const first = await gateway.chat(STARTER, 'One', SHORT);
  const second = await gateway.chat(STARTER, 'Two', SHORT);
  await page.goto(`/chat/${first.chat.id}`);
  await page.getByRole('button', { name: 'More about this chat' }).click();
  await page.getByRole('menuitem', { name: 'Settings of this chat' }).click();
  const dialog = page.getByRole('dialog', { name: 'Settings of this chat' });
  await dialog.getByRole('textbox', { name: /^Tags/ }).fill('work, rust');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(dialog).toHaveCount(0);

  const tags = page.getByRole('group', { name: 'Tags' });
  await expect(tags.getByRole('button')).toHaveText(['rust', 'work']);
  await tags.getByRole('button', { name: 'work' }).click();
  await expect(page).toHaveURL(/tag=work/);
  await expect(row(page, second.chat.id)).toHaveCount(0);
  await expect(row(page, first.chat.id)).toBeVisible();
  await tags.getByRole('button', { name: 'work' }).click();
  await expect(row(page, second.chat.id)).toBeVisible();

  const list = page.getByRole('navigation', { name: 'Chats' });
  const pinned = list.getByRole('heading', { name: 'Pinned' });
  await expect(pinned).toHaveCount(0);
  const entry = list.getByRole('listitem').filter({ has: page.locator(`a[href^="/chat/${second.chat.id}"]`) });
  await entry.getByRole('button', { name: /^More about/ }).click();
  await page.getByRole('menuitem', { name: 'Pin', exact: true }).click();
  await expect(pinned).toBeVisible();
  await page.reload();
  await expect(list.getByRole('listitem').first()).toContainText('Two');
  await entry.getByRole('button', { name: /^More about/ }).click();
  await page.getByRole('menuitem', { name: 'Unpin' }).click();
  await expect(pinned).toHaveCount(0);
});
