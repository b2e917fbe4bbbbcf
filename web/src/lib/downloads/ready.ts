// When a model that was to be started after its download is started.

import type { DownloadState } from '$lib/api';

export interface Progressing {
  /** Null if there is no download, or its list is not known yet. */
  state: DownloadState | null;
  /** Whether the model is complete on this machine. */
  isComplete: boolean;
}

/** A failed download can be tried again, a cancelled one is not waited for. */
export function readyOf({ state, isComplete }: Progressing): 'start' | 'wait' | 'forget' {
  if (state === 'cancelled') return 'forget';
  const hasEnded = state === null || state === 'done';
  // The list of models is read again after the last byte.
  return hasEnded && isComplete ? 'start' : 'wait';
}
