// A row of the list: a model on this machine, on the hub, or both.

import type { Characteristics, LocalModel, RemoteModel } from '$lib/api';

export interface ModelEntry {
  name: string;
  characteristics: Characteristics | null;
  /** On the disk, or of the weights on the hub. */
  sizeBytes: number | null;
  local: LocalModel | null;
  remote: RemoteModel | null;
}

export function ofLocal(model: LocalModel): ModelEntry {
  return {
    name: model.name,
    characteristics: model.characteristics ?? null,
    sizeBytes: model.size_bytes,
    local: model,
    remote: null,
  };
}

/** A search result. Of a model that is on this machine, its files say more than the hub. */
export function ofRemote(model: RemoteModel, local: LocalModel | null): ModelEntry {
  return {
    name: model.repo_id,
    characteristics: local?.characteristics ?? model.characteristics,
    sizeBytes: model.size_bytes ?? local?.size_bytes ?? null,
    local,
    remote: model,
  };
}
