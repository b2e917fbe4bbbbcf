// Whether a repository has changed since it was downloaded.

import type { LocalModel, RemoteModel } from '$lib/api';

/** When the repository was changed, if that was after the newest revision of this machine was written; else null. */
export function changedSinceMs(model: LocalModel, remote: RemoteModel | null): number | null {
  const changed = Date.parse(remote?.last_modified ?? '');
  const times = model.revisions.map((revision) => revision.modified_at_ms);
  if (Number.isNaN(changed) || times.length === 0) return null;
  return changed > Math.max(...times) ? changed : null;
}
