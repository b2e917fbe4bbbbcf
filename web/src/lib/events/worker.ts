/** The SharedWorker: one stream for all tabs, since browsers allow six connections to a host. */
import { Exchange, type ToExchange } from './exchange';
import { BASE_TOPICS } from './topics';

/** What this file uses of `SharedWorkerGlobalScope`, whose types do not go together with those of a page. */
interface WorkerScope {
  onconnect: ((event: MessageEvent) => void) | null;
}

const exchange = new Exchange();

(globalThis as unknown as WorkerScope).onconnect = ({ ports: [port] }) => {
  if (port === undefined) return;
  const receive = exchange.connect((message) => port.postMessage(message));
  exchange.prepare(BASE_TOPICS);
  port.onmessage = ({ data }: MessageEvent<ToExchange>) => receive(data);
  // Not in every browser; pages also say when they are left.
  port.addEventListener('close', () => receive({ type: 'bye' }));
};
