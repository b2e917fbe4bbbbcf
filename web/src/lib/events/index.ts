/** The event stream: one connection for all tabs, and the stores that follow it. */
import { Events } from './client.svelte';
import { BASE_TOPICS } from './topics';

export type { Connection, Listener } from './client.svelte';
export { Resource, type Status } from './resource.svelte';
export { chatTopic, logTopic, type TopicName } from './topics';

export const events = new Events();
export const connection = events.connection;

/** All pages follow these, so that the stream need not change from page to page. */
events.subscribe({ topics: BASE_TOPICS, apply: () => undefined, reset: () => undefined });
