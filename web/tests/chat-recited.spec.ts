/** What a small model does not write on demand: reasoning, formulas, diagrams and attacks, as responses of a chat. */

import type { Page } from '@playwright/test';
import { expectComplete, messages, say } from './support/chat';
import { expectAccessible, expectNoHorizontalScroll, open } from './support/pages';
import { RECITER } from './support/reciter';
import { expect, test } from './support/test';

test.use({ reciter: true });

/** A new chat with a response that is this text. */
async function recite(page: Page, name: string): Promise<void> {
  await open(page, `/chat?model=${RECITER}`, 'New chat');
  await say(page, `Recite ${name}`);
  await expectComplete(page);
}

test('what was thought is apart from the response, and unfolds', async ({ page }) => {
  await recite(page, 'thinking');
  const last = messages(page).last();
  await expect(last).toContainText('The product is 42.');
  await expect(last).not.toContainText('Six times seven');
  await last.getByText(/^Thought for/).click();
  await expect(last).toContainText('Six times seven');
  await page.reload();
  await expect(
    messages(page)
      .last()
      .getByText(/^Thought for .*tokens?$/),
  ).toBeVisible();
  await expectAccessible(page);
});

test('thinking can be turned off', async ({ page }) => {
  await open(page, `/chat?model=${RECITER}`, 'New chat');
  await page.getByRole('combobox', { name: 'Thinking' }).selectOption('off');
  await say(page, 'Recite thinking');
  await expectComplete(page);
  await expect(messages(page).last()).toContainText('without reasoning');
  await expect(
    messages(page)
      .last()
      .getByText(/^Thought/),
  ).toHaveCount(0);
});

test('formulas are MathML, and diagrams are drawn', async ({ page }) => {
  await recite(page, 'latex');
  await expect(messages(page).last().locator('math').first()).toBeVisible();
  await say(page, 'Recite mermaid');
  await expectComplete(page);
  await expect(page.frameLocator('iframe[title="Diagram"]').locator('svg').first()).toBeVisible();
  await expectNoHorizontalScroll(page);
  await expectAccessible(page);
});

test('code has its language, and is colored once it is complete', async ({ page }) => {
  await recite(page, 'code');
  const last = messages(page).last();
  await expect(last.getByText('python', { exact: true })).toBeVisible();
  await expect(last.locator('pre span').filter({ hasText: 'def' }).first()).toBeVisible();
  await expect(last.getByRole('table')).toBeVisible();
});

for (const name of ['attack', 'every-attack']) {
  test(`markup of a model stays text: ${name}`, async ({ page }) => {
    await recite(page, name);
    const last = messages(page).last();
    await expect(last.locator('script, object, embed, form, style')).toHaveCount(0);
    await expect(last.locator('img')).toHaveCount(0);
    for (const link of await last.getByRole('link').all()) {
      expect(await link.getAttribute('href')).toMatch(/^(https?:|mailto:|#|\/)/);
    }
    expect(await page.evaluate(() => 'attacked' in window)).toBe(false);
  });
}

test('only the end of a long response is rendered again while it is written', async ({ page }) => {
  await open(page, `/chat?model=${RECITER}`, 'New chat');
  await say(page, 'Recite endless');
  const last = messages(page).last();
  const paragraphs = last.locator('p', { hasText: 'This paragraph is repeated' });
  await expect(paragraphs.nth(4)).toBeAttached();
  // Those before the last two are complete: text that is added cannot change them.
  const earlier = await paragraphs.evaluateAll((all) => {
    const blocks = all.slice(0, -2);
    const counts = { changed: 0, removed: 0, elsewhere: 0 };
    (window as unknown as { counts: typeof counts }).counts = counts;
    const isIn = (target: Node) => blocks.some((block) => block.contains(target));
    const hasOne = (removed: Node) => blocks.some((block) => removed.contains(block));
    new MutationObserver((records) => {
      for (const { target, removedNodes } of records) {
        if (isIn(target)) counts.changed += 1;
        else if ([...removedNodes].some(hasOne)) counts.removed += 1;
        else counts.elsewhere += 1;
      }
    }).observe(blocks[0]?.closest('[data-message]') ?? document.body, {
      attributes: true,
      characterData: true,
      childList: true,
      subtree: true,
    });
    return blocks.length;
  });
  expect(earlier).toBeGreaterThan(1);
  await expect(paragraphs.nth(earlier + 6)).toBeAttached();
  const counts = await page.evaluate(() => (window as unknown as { counts: Record<string, number> }).counts);
  expect(counts).toMatchObject({ changed: 0, removed: 0 });
  expect(counts.elsewhere, 'what is written is observed').toBeGreaterThan(0);
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await expect(last).toContainText('Stopped');
});
