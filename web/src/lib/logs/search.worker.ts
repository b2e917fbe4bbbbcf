// Searches log lines off the main thread.
import { SearchServer, type SearchRequest } from './protocol';

const server = new SearchServer();

self.addEventListener('message', (event: MessageEvent<SearchRequest>) => {
  const response = server.handle(event.data);
  if (response !== null) self.postMessage(response, { transfer: [response.numbers.buffer] });
});
