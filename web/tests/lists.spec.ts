/** Lists keep their place, focus and order while they change: new rows wait until the user wants them. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Gateway } from './support/gateway';
import { open } from './support/pages';
import { expect, test } from './support/test';

/** A model that is complete enough to be listed. */
function addModel(gateway: Gateway, name: string): void {
  const directory = join(gateway.home, 'models', name);
  mkdirSync(directory);
  writeFileSync(join(directory, 'config.json'), '{"model_type": "llama"}');
  writeFileSync(join(directory, 'tokenizer.json'), '{}');
  writeFileSync(join(directory, 'model.safetensors'), 'x');
}

test('a new model does not move the list, and is shown on request', async ({ page, gateway }) => {
  for (let index = 10; index < 90; index += 1) addModel(gateway, `model-${index}`);
  await gateway.stop();
  await gateway.start();
  await open(page, '/models', 'Models');
  const list = page.getByRole('list', { name: 'Models on this machine' });
  await expect(list.getByRole('listitem')).toHaveCount(80);

  const button = list.getByRole('button', { name: 'Details of model-50' });
  await button.scrollIntoViewIfNeeded();
  await button.focus();
  const before = await button.boundingBox();
  addModel(gateway, 'model-00');
  const held = page.getByRole('button', { name: /1 new model/ });
  await expect(held).toHaveCount(1);
  await expect(button).toBeFocused();
  const after = await button.boundingBox();
  // The row of new models is above the list: the browser keeps what is visible where it is.
  expect(Math.abs((after?.y ?? 0) - (before?.y ?? 0))).toBeLessThan(2);
  await expect(list.getByRole('listitem')).toHaveCount(80);
  await held.click();
  await expect(list.getByRole('listitem')).toHaveCount(81);
});

test('filters, search and what is unfolded are in the address, and survive a reload', async ({ page, gateway }) => {
  addModel(gateway, 'first');
  addModel(gateway, 'second');
  await open(page, '/models', 'Models');
  const list = page.getByRole('list', { name: 'Models on this machine' });
  await expect(list.getByRole('listitem')).toHaveCount(2);
  await page.getByRole('textbox', { name: 'Search my models' }).fill('first');
  await expect(list.getByRole('listitem')).toHaveCount(1);
  await page.getByRole('button', { name: 'Details of first' }).click();
  await expect(page).toHaveURL(/q=first.*open=first/);
  await page.reload();
  await expect(page.getByRole('textbox', { name: 'Search my models' })).toHaveValue('first');
  await expect(page.getByRole('button', { name: 'Details of first' })).toHaveAttribute('aria-expanded', 'true');
});
