// Deleting a model with what uses it, and downloading it anew.

import type { RemovedModel, Result } from '$lib/api';
import { downloads } from '$lib/downloads/store.svelte';
import { isUsed } from './references';
import { models } from './store.svelte';
import { referencesOf } from './uses.svelte';

/** Cancels its downloads, which hold its files, stops its servers and deletes it, or one revision. */
export async function removeModel(name: string, revision?: string): Promise<Result<RemovedModel>> {
  const references = referencesOf(name);
  for (const download of references.downloads) {
    const cancelled = await downloads.cancel(download.id);
    if (!cancelled.ok) return cancelled;
  }
  return models.remove(name, { force: isUsed(references), ...(revision === undefined ? {} : { revision }) });
}

/** Deletes the files, as those that are damaged would be kept by a download, and puts it in the queue. */
export async function downloadAgain(name: string): Promise<Result<unknown>> {
  const removed = await removeModel(name);
  return removed.ok ? downloads.add({ repo_id: name }) : removed;
}
