// What can be started: profiles first, then models. No Svelte inside.
import type { LocalModel, PoolPlanRequest, Profile, StartRequest } from '$lib/api';
import type { Option } from '$lib/ui';
import { shortName } from './status';
import { modelReason, modelTarget, optionOf, profileTarget, type Sources } from './target';

/** Options of the picker, with the reason why one cannot be started. */
export function options(known: Omit<Sources, 'downloads'>): Option[] {
  // What is being downloaded cannot be started.
  const sources: Sources = { ...known, downloads: [] };
  return [
    ...known.profiles.map((profile) =>
      optionOf(profileTarget(profile, sources), `profile:${profile.config.name}`, 'Profiles', sources),
    ),
    ...known.models.map(({ name }) => optionOf(modelTarget(name, sources), `model:${name}`, 'Models', sources)),
  ];
}

/** What a choice of the picker starts; null for a value that is not one. */
export function requestOf(value: string): (StartRequest & PoolPlanRequest) | null {
  const at = value.indexOf(':');
  const name = value.slice(at + 1);
  switch (value.slice(0, at)) {
    case 'profile':
      return { profile: name };
    case 'model':
      return { model: name };
    default:
      return null;
  }
}

/** What to offer while nothing runs: some profiles, or else some models, that can be started. */
export function suggestions(
  profiles: readonly Profile[],
  models: readonly LocalModel[],
): { text: string; values: { value: string; label: string }[] } {
  const most = 4;
  const usable = models.filter((model) => modelReason(model.name, model) === null);
  const names = new Set(usable.map((model) => model.name));
  const startable = profiles.filter((profile) => names.has(profile.config.model));
  const noun = (count: number, one: string) => (count === 1 ? `your ${one}` : `one of your ${count} ${one}s`);
  if (startable.length > 0) {
    const values = startable.slice(0, most).map(({ config: { name } }) => ({ value: `profile:${name}`, label: name }));
    return { text: `Start ${noun(startable.length, 'profile')}.`, values };
  }
  const values = usable.slice(0, most).map(({ name }) => ({ value: `model:${name}`, label: shortName(name) }));
  return { text: `Start ${noun(usable.length, 'model')}.`, values };
}
