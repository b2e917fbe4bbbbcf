// What fits a client. No Svelte inside.
import { modelTarget, profileTarget, type Sources, type Target } from '$lib/servers/target';

/** What a client needs of a model. */
export interface Needs {
  tools: boolean;
  /** In tokens; null if any will do. */
  contextLength: number | null;
}

/** The first of those that have what a client needs: in memory, else a profile, else a model; null if there is none. */
export function suitable({ tools, contextLength }: Needs, sources: Sources): Target | null {
  const all = [
    ...sources.profiles.map((profile) => profileTarget(profile, sources)),
    ...sources.models.map(({ name }) => modelTarget(name, sources)),
  ];
  const fits = all.filter(
    ({ reason, badges, local }) =>
      reason === null &&
      local !== null &&
      (!tools || badges.includes('tools')) &&
      (contextLength === null || (local.characteristics?.context_length ?? 0) >= contextLength),
  );
  return fits.find(({ server }) => server !== null) ?? fits[0] ?? null;
}

/** The context length in tokens that a profile or model has in memory, or would have; null while that is unknown. */
export function contextLengthOf(name: string, sources: Pick<Sources, 'profiles' | 'servers'>): number | null {
  const profile = sources.profiles.find(({ config }) => config.name === name);
  const server = sources.servers.find(
    (each) => !each.failure && (profile === undefined ? each.name === name : each.profiles.includes(name)),
  );
  return server?.size.context_length ?? profile?.config.load?.context_length ?? null;
}
