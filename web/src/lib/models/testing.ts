/** Models for tests. */
import type { LocalModel } from '$lib/api';

/** A complete model in the hub's cache. */
export function localModel(name: string, changes: Partial<LocalModel> = {}): LocalModel {
  return {
    name,
    source: 'hub_cache',
    size_bytes: 1,
    modified_at_ms: 0,
    complete: true,
    missing_files: [],
    revisions: [],
    loaded: false,
    profiles: [],
    ...changes,
  };
}
