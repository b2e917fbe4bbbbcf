// What a chat can be with: profiles and models, with their state. No Svelte inside.
import type { Badge, LocalModel, PoolPlanRequest } from '$lib/api';
import { isUnderWay, optionOf, targetOf, type Sources, type Target } from '$lib/servers/target';
import type { Option } from '$lib/ui';

export { targetOf, type Sources, type Target };

/** The address of a chat with a profile or model. */
export function chatHref(name: string): string {
  return `/chat?model=${encodeURIComponent(name)}`;
}

/** Whether it thinks, calls tools and so on. Null while its characteristics are unknown. */
export function has(target: Target | null, badge: Badge): boolean | null {
  if (target?.local?.characteristics == null) return null;
  return target.badges.includes(badge);
}

/** What pointing at it previews in the memory strip. */
export function previewOf(target: Target | null): PoolPlanRequest | null {
  if (target === null || target.server !== null || target.local?.complete !== true) return null;
  return target.profile === null ? { model: target.model } : { profile: target.profile.config.name };
}

/** Options of the picker: what runs, profiles, models on this machine, and models that are being downloaded. */
export function options(sources: Sources): Option[] {
  const option = (name: string, group: string): Option[] => {
    const target = targetOf(name, sources);
    return target === null ? [] : [optionOf(target, name, target.server === null ? group : 'Running', sources)];
  };
  const all = [
    ...sources.profiles.flatMap(({ config }) => option(config.name, 'Profiles')),
    ...sources.models.filter(isForChat).flatMap(({ name }) => option(name, 'On this machine')),
    ...downloading(sources).flatMap((name) => option(name, 'Downloading')),
  ];
  const seen = new Set<string>();
  const unique = all.filter(({ value }) => !seen.has(value) && seen.add(value));
  return [...unique.filter(({ group }) => group === 'Running'), ...unique.filter(({ group }) => group !== 'Running')];
}

/** A profile or model that can respond. */
export interface Alternative {
  value: string;
  label: string;
}

/** Some of those that can respond, those in memory first. */
export function alternatives(sources: Sources, most = 8): Alternative[] {
  const usable = options(sources).filter(({ reason }) => reason === undefined);
  return usable.slice(0, most).map(({ value, label }) => ({ value, label }));
}

/** What a new chat is with: what was used last, what runs, or what can be started or is being downloaded. */
export function defaultTarget(last: string | null, sources: Sources): string | null {
  const usable = options(sources).filter(({ reason }) => reason === undefined);
  return (usable.find(({ value }) => value === last) ?? usable[0])?.value ?? null;
}

function isForChat(model: LocalModel): boolean {
  const badges = model.characteristics?.badges ?? [];
  return !badges.includes('embeddings');
}

function downloading({ downloads, models }: Sources): string[] {
  const complete = new Set(models.filter((model) => model.complete).map(({ name }) => name));
  return downloads.filter(isUnderWay).flatMap(({ repo_id }) => (complete.has(repo_id) ? [] : [repo_id]));
}
