// The state of the list of models, which is in its URL.

import type { Badge, SearchQuery } from '$lib/api';

export type Place = 'mine' | 'hub';
export type HubSort = NonNullable<SearchQuery['sort']>;
export type LocalSort = 'name' | 'size' | 'modified' | 'parameters';

export interface Browse {
  place: Place;
  query: string;
  sort: HubSort | LocalSort | null;
  /** Only models that fit into the memory budget. */
  fits: boolean;
  /** Only models that are on this machine; on the hub. */
  downloaded: boolean;
  badges: Badge[];
  family: string | null;
  bits: number | null;
  /** The model whose details are unfolded. */
  open: string | null;
}

export const filterBadges: Badge[] = ['vision', 'tools', 'thinking', 'embeddings', 'code'];
export const filterBits = [3, 4, 5, 6, 8];
export const localSorts: LocalSort[] = ['name', 'size', 'modified', 'parameters'];
export const hubSorts: HubSort[] = ['downloads', 'trending', 'likes', 'created', 'modified'];

export function readBrowse(params: URLSearchParams): Browse {
  const place: Place = params.get('in') === 'hub' ? 'hub' : 'mine';
  const sort = params.get('sort');
  const sorts: (HubSort | LocalSort)[] = place === 'hub' ? hubSorts : localSorts;
  const words = list(params, 'has');
  const bits = Number(params.get('bits'));
  return {
    place,
    query: params.get('q') ?? '',
    sort: sorts.find((known) => known === sort) ?? null,
    fits: params.has('fits'),
    downloaded: params.has('downloaded'),
    badges: filterBadges.filter((badge) => words.includes(badge)),
    family: params.get('family') || null,
    bits: filterBits.find((known) => known === bits) ?? null,
    open: params.get('open') || null,
  };
}

function list(params: URLSearchParams, key: string): string[] {
  return (params.get(key) ?? '').split(',').filter((word) => word !== '');
}

/** The query of a URL, empty or with its question mark. What is a default is left out. */
export function writeBrowse(browse: Browse): string {
  const params = new URLSearchParams();
  if (browse.place === 'hub') params.set('in', 'hub');
  if (browse.query !== '') params.set('q', browse.query);
  if (browse.sort !== null) params.set('sort', browse.sort);
  if (browse.fits) params.set('fits', '1');
  if (browse.downloaded) params.set('downloaded', '1');
  if (browse.badges.length > 0) params.set('has', browse.badges.join(','));
  if (browse.family !== null) params.set('family', browse.family);
  if (browse.bits !== null) params.set('bits', String(browse.bits));
  if (browse.open !== null) params.set('open', browse.open);
  const text = params.toString();
  return text === '' ? '' : `?${text}`;
}

/** What decides which models are listed, and their order. */
export function listKey(browse: Browse): string {
  return writeBrowse({ ...browse, open: null });
}

export function hasFilters(browse: Browse): boolean {
  const { fits, downloaded, badges, family, bits } = browse;
  return fits || downloaded || badges.length > 0 || family !== null || bits !== null;
}

export function withoutFilters(browse: Browse): Browse {
  return { ...browse, fits: false, downloaded: false, badges: [], family: null, bits: null };
}

/** The list with or without a member. */
export function toggled<T>(list: T[], member: T): T[] {
  return list.includes(member) ? list.filter((other) => other !== member) : [...list, member];
}
