// Profiles and models that can be chosen, with their state: for all pickers. No Svelte inside.
import type { Badge, Download, LocalModel, Profile, Server } from '$lib/api';
import type { ModelColor, Option } from '$lib/ui';
import { shortName } from './status';

export interface Sources {
  profiles: readonly Profile[];
  models: readonly LocalModel[];
  servers: readonly Server[];
  /** Newest first. A model that is being downloaded can be chosen: it is used once it is there. */
  downloads: readonly Download[];
  modelColor: (model: string) => ModelColor | undefined;
  profileColor: (profile: Profile) => ModelColor | undefined;
  bytes: (bytes: number) => string;
}

/** A profile or model by the name that requests have. */
export interface Target {
  name: string;
  /** For people: a profile's name, or a model's without the owner. */
  title: string;
  /** The profile, if it is one. */
  profile: Profile | null;
  /** The model's name. */
  model: string;
  local: LocalModel | null;
  server: Server | null;
  color: ModelColor | undefined;
  badges: readonly Badge[];
  /** Why it cannot be used at all; null if it can, at once or after its download or start. */
  reason: string | null;
}

/** The profile or model of a name; null without one. Names of profiles come first. */
export function targetOf(name: string | null | undefined, sources: Sources): Target | null {
  if (name === null || name === undefined || name === '') return null;
  const profile = sources.profiles.find(({ config }) => config.name === name);
  return profile === undefined ? modelTarget(name, sources) : profileTarget(profile, sources);
}

export function profileTarget(profile: Profile, sources: Sources): Target {
  const { name, model } = profile.config;
  const server = running(sources.servers, ({ profiles }) => profiles.includes(name));
  return { ...common(model, sources), name, title: name, profile, server, color: sources.profileColor(profile) };
}

export function modelTarget(model: string, sources: Sources): Target {
  const server = running(sources.servers, ({ name }) => name === model);
  const color = sources.modelColor(model);
  return { ...common(model, sources), name: model, title: shortName(model), profile: null, server, color };
}

/** An option of a picker. */
export function optionOf(target: Target, value: string, group: string, { bytes }: Sources): Option {
  const { title, profile, local, color, reason, badges, model } = target;
  const words = [model, profile?.config.description, local?.characteristics?.family, ...badges];
  return {
    value,
    label: title,
    detail: detailOf(target, bytes),
    group,
    ...(color === undefined ? {} : { color }),
    ...(reason === null ? {} : { reason }),
    keywords: words.flatMap((word) => (word ? [word] : [])),
  };
}

/** Why a model cannot be loaded; null if it can. */
export function modelReason(name: string, local: LocalModel | null): string | null {
  if (local === null) return `${name} is not on this machine.`;
  if (!local.complete) return 'It is not completely downloaded.';
  const { supported, unsupported_reason: reason } = local.characteristics ?? {};
  return supported === false ? (reason ?? 'This version of mlxm cannot load it.') : null;
}

/** Whether a download may still become a model. */
export function isUnderWay({ state }: Download): boolean {
  return !['done', 'failed', 'cancelled'].includes(state);
}

function common(model: string, { models, downloads }: Sources): Pick<Target, 'model' | 'local' | 'badges' | 'reason'> {
  const local = models.find(({ name }) => name === model) ?? null;
  const latest = downloads.find(({ repo_id }) => repo_id === model);
  const isComing = latest !== undefined && isUnderWay(latest);
  const reason = isComing ? null : modelReason(model, local);
  return { model, local, badges: local?.characteristics?.badges ?? [], reason };
}

function running(servers: readonly Server[], isIts: (server: Server) => boolean): Server | null {
  return servers.find((server) => !server.failure && isIts(server)) ?? null;
}

function detailOf({ server, profile, model, local, reason }: Target, bytes: Sources['bytes']): string {
  if (server !== null) return server.state === 'ready' ? 'in memory' : server.state;
  if (profile !== null) return shortName(model);
  return reason === null && local?.complete !== true ? 'downloading' : bytes(local?.size_bytes ?? 0);
}
