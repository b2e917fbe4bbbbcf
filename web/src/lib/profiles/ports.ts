/** Ports of profiles. */
import type { Profile } from '$lib/api';

/** The name of another profile with the port. */
export function portHolder(
  profiles: readonly Profile[],
  port: number | null | undefined,
  own: string | null,
): string | undefined {
  if (port == null) return undefined;
  return profiles.find((profile) => profile.id !== own && profile.config.port === port)?.config.name;
}
