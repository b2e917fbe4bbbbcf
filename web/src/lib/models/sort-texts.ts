import type { HubSort, LocalSort } from './browse';

export const sortTexts: Record<HubSort | LocalSort, string> = {
  name: 'By name',
  size: 'Largest first',
  modified: 'Last changed',
  parameters: 'Most parameters',
  downloads: 'Most downloads',
  trending: 'Trending',
  likes: 'Most likes',
  created: 'Newest',
};
