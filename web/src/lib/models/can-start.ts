// Why a model on this machine cannot be started.

import type { LocalModel } from '$lib/api';

export function startReason(model: LocalModel | null): string | null {
  if (model === null) return 'It is not on this machine yet.';
  if (!model.complete) {
    const count = model.missing_files.length;
    if (count === 0) return 'Files are missing. Download it to complete it.';
    return count === 1
      ? '1 file is missing. Download it to complete it.'
      : `${count} files are missing. Download it to complete it.`;
  }
  const found = model.characteristics;
  if (found?.supported === false) return found.unsupported_reason ?? 'This version cannot load its architecture.';
  return found ? null : 'Its configuration is not readable.';
}
