/** The connection of the event stream. */
import { origin } from './origin';
import { Problem } from './problem';

/** What a stream asks for. */
export interface StreamRequest {
  topics: readonly string[];
  /** The id of the last event that was received. */
  lastEventId: string | null;
  signal: AbortSignal;
}

/**
 * Opens the stream of some topics and reads it to its end. An `EventSource` would not tell the status of a response, comments,
 * or the id of an event without data, and would not send the header after topics have changed.
 *
 * @throws {Problem} if the response is not a stream, or the connection is lost.
 */
export async function readStream(
  request: StreamRequest,
  onOpen: () => void,
  onText: (text: string) => void,
): Promise<void> {
  try {
    const url = new URL('/api/events', origin());
    url.searchParams.set('topics', request.topics.join(','));
    const headers = new Headers({ accept: 'text/event-stream' });
    if (request.lastEventId !== null) headers.set('last-event-id', request.lastEventId);
    const response = await fetch(url, { headers, signal: request.signal, cache: 'no-store' });
    if (!response.ok || response.body === null) {
      throw Problem.fromResponse(response, parseJson(await response.text()));
    }
    onOpen();
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      onText(decoder.decode(value, { stream: true }));
    }
  } catch (error) {
    throw Problem.from(error);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
