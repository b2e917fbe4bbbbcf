/** Names of topics, and how events of each are merged. */
import type { StreamEvent } from '../api/types';

/** As clients subscribe to it: `servers`, or `logs:{id}`. */
export type TopicName = string;

/** What every page shows or is ready to show. Logs, requests and the messages of a chat are added by the pages that show them. */
export const BASE_TOPICS: readonly TopicName[] = [
  'servers',
  'pool',
  'downloads',
  'models',
  'system',
  'profiles',
  'aliases',
  'settings',
  'notices',
  'chats',
];

/** A stream may have as many; logs of the least recently opened pages are left out. */
export const MAX_TOPICS = 64;

/** The topic of the log of a server, or of the gateway. */
export function logTopic(source: string): TopicName {
  return `logs:${source}`;
}

/** The topic of the messages and runs of a chat. */
export function chatTopic(id: string): TopicName {
  return `chat:${id}`;
}

/** The topic under which a client gets an event; null for a reset, which concerns several. */
export function topicOf(event: StreamEvent): TopicName | null {
  switch (event.topic) {
    case 'logs':
      return logTopic(event.event.server ?? 'gateway');
    case 'chat':
      return chatTopic(event.event.id);
    case 'reset':
      return null;
    default:
      return event.topic;
  }
}

/**
 * A key for events that replace earlier ones of the same key, because each has the whole state or only the latest counts;
 * null for events that all count.
 */
export function replaceKey(event: StreamEvent): string | null {
  switch (event.topic) {
    case 'pool':
    case 'system':
      return event.topic;
    case 'servers':
      switch (event.event.type) {
        case 'loading':
        case 'metrics':
        case 'running':
          return `servers/${event.event.type}/${event.event.id}`;
        default:
          return null;
      }
    case 'requests':
      return `requests/${event.event.server}`;
    case 'clients':
      return `clients/${event.event.client}`;
    case 'downloads':
      return event.event.type === 'progress' ? `downloads/progress/${event.event.id}` : null;
    default:
      return null;
  }
}

/** The topics of all subscribers together: sorted, so that equal sets are equal lists, and no more than a stream may have. */
export function union(lists: Iterable<Iterable<TopicName>>): TopicName[] {
  const all = new Set<TopicName>();
  for (const list of lists) for (const topic of list) all.add(topic);
  const shared = [...all].filter((topic) => !topic.startsWith('logs:'));
  // Of the logs, those that were added last.
  const logs = [...all].filter((topic) => topic.startsWith('logs:'));
  return [...shared, ...logs.slice(-Math.max(MAX_TOPICS - shared.length, 1))].slice(0, MAX_TOPICS).sort();
}

/** Whether a value of the stream is an event. Its details are those of the gateway's types. */
export function isStreamEvent(value: unknown): value is StreamEvent {
  return (
    typeof value === 'object' &&
    value !== null &&
    'topic' in value &&
    typeof value.topic === 'string' &&
    'event' in value
  );
}
