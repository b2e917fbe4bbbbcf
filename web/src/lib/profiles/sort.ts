/** The order of the list of profiles. */
import type { Profile } from '$lib/api';
import type { Sort } from '$lib/ui';

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });

/** By a column of the list; by creation without one. Profiles without a port come last, in both directions. */
export function sorted(profiles: readonly Profile[], sort: Sort | null): Profile[] {
  const list = [...profiles];
  if (!sort) return list;
  const direction = sort.descending ? -1 : 1;
  if (sort.key === 'port') {
    return list.sort((left, right) => {
      const [a, b] = [left.config.port, right.config.port];
      if (a == null || b == null) return Number(a == null) - Number(b == null);
      return direction * (a - b);
    });
  }
  const text = (profile: Profile): string => (sort.key === 'model' ? profile.config.model : profile.config.name);
  return list.sort((left, right) => direction * collator.compare(text(left), text(right)));
}
