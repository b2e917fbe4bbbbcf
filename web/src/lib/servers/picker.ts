// What can be started: profiles first, then models. No Svelte inside.
import type { LocalModel, PoolPlanRequest, Profile, Server, StartRequest } from '$lib/api';
import type { ModelColor, Option } from '$lib/ui';
import { shortName } from './status';

interface Sources {
  profiles: readonly Profile[];
  models: readonly LocalModel[];
  servers: readonly Server[];
  modelColor: (model: string) => ModelColor | undefined;
  profileColor: (profile: Profile) => ModelColor | undefined;
  bytes: (bytes: number) => string;
}

/** Options of the picker, with the reason why one cannot be started. */
export function options({ profiles, models, servers, modelColor, profileColor, bytes }: Sources): Option[] {
  const byName = new Map(models.map((model) => [model.name, model]));
  const loaded = new Set(servers.filter((server) => server.failure == null).flatMap(namesOf));
  return [
    ...profiles.map((profile): Option => {
      const { name, model, description } = profile.config;
      const found = byName.get(model);
      return {
        value: `profile:${name}`,
        label: name,
        detail: loaded.has(`profile:${name}`) ? 'in memory' : shortName(model),
        group: 'Profiles',
        color: profileColor(profile),
        reason: found === undefined ? `${model} is not on this machine` : reasonOf(found),
        keywords: [model, description ?? ''].filter((word) => word !== ''),
      };
    }),
    ...models.map((model): Option => {
      return {
        value: `model:${model.name}`,
        label: shortName(model.name),
        detail: loaded.has(`model:${model.name}`) ? 'in memory' : bytes(model.size_bytes),
        group: 'Models',
        color: modelColor(model.name),
        reason: reasonOf(model),
        keywords: [model.name, model.characteristics?.family ?? ''].filter((word) => word !== ''),
      };
    }),
  ];
}

/** Why a model cannot be started; undefined if it can. */
function reasonOf(model: LocalModel): string | undefined {
  if (!model.complete) return 'Not completely downloaded';
  const { supported, unsupported_reason: reason } = model.characteristics ?? {};
  return supported === false ? (reason ?? 'This version of mlxm cannot load it') : undefined;
}

function namesOf(server: Server): string[] {
  return [...server.profiles.map((name) => `profile:${name}`), `model:${server.name}`];
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
  const usable = models.filter((model) => reasonOf(model) === undefined);
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
