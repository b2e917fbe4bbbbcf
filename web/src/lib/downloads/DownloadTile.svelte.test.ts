import { expect, test } from 'vitest';
import { render } from 'vitest-browser-svelte';
import type { Download, DownloadState } from '$lib/api';
import { expectAccessible, THEMES, useTheme } from '$lib/ui/testing';
import { describe as describeDownload } from './describe';
import DownloadTile from './DownloadTile.svelte';

function download(state: DownloadState, more: Partial<Download> = {}): Download {
  return {
    id: '018f0000-0000-7000-8000-000000000000',
    repo_id: 'mlx-community/Qwen3-8B-4bit',
    revision: 'main',
    state,
    done_bytes: 0.3e9,
    total_bytes: 0.6e9,
    created_at_ms: 0,
    ...more,
  };
}

const states: DownloadState[] = [
  'queued',
  'checking',
  'running',
  'verifying',
  'waiting',
  'paused',
  'done',
  'failed',
  'cancelled',
];
const ended: DownloadState[] = ['done', 'failed', 'cancelled'];

for (const theme of THEMES) {
  test.each(states)(
    `a download that is %s has its word in the ${theme} theme, and a bar until it has ended`,
    async (state) => {
      useTheme(theme);
      const value = download(state);
      const { container, getByText } = await render(DownloadTile, { download: value, order: [value.id] });
      await expect.element(getByText(describeDownload(value).state, { exact: true })).toBeVisible();
      expect(container.querySelectorAll('[role="progressbar"]')).toHaveLength(ended.includes(state) ? 0 : 1);
      await expectAccessible(container);
    },
  );
}

test('names and errors stay text', async () => {
  const value = download('failed', {
    repo_id: 'a/<img src=x onerror=alert(1)>',
    error: '<script>alert(1)</script> is not reachable',
  });
  const { container, getByText } = await render(DownloadTile, { download: value, order: [] });
  expect(container.querySelector('img, script')).toBeNull();
  await expect.element(getByText('<script>alert(1)</script> is not reachable')).toBeVisible();
});

test('a full disk leads to the largest models', async () => {
  const value = download('waiting', { waiting_for: 'disk', error: '4.2 GB are missing' });
  const { getByRole } = await render(DownloadTile, { download: value, order: [value.id] });
  await expect.element(getByRole('link', { name: /largest models/ })).toHaveAttribute('href', '/models?sort=size');
});

test('cancelling asks whether the partial files are kept', async () => {
  const value = download('running');
  const { getByRole, baseElement } = await render(DownloadTile, { download: value, order: [value.id] });
  await getByRole('button', { name: /^Cancel the download/ }).click();
  await expect.element(getByRole('alertdialog')).toBeVisible();
  await expect.element(getByRole('checkbox', { name: /^Keep them/ })).toBeChecked();
  expect(baseElement.textContent).toContain('are on the disk');
});
