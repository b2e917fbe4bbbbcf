/** How a page reaches the exchange: through the SharedWorker, or in the page itself where that does not work. */
import { Exchange, type ToExchange, type ToPage } from './exchange';

/** Time after which a worker that has said nothing is given up. Its script comes from the gateway. */
const WORKER_PATIENCE_MS = 5_000;

export type Send = (message: ToExchange) => void;

/**
 * Connects the page. `onMessage` gets all messages, and `onReplaced` is called if the worker failed after messages were sent to
 * it, which then have to be sent again.
 */
export function openLink(onMessage: (message: ToPage) => void, onReplaced: () => void): Send {
  if (typeof SharedWorker === 'undefined') return new Exchange().connect(onMessage);
  let send: Send | null = null;
  let isWorking = false;
  const useOwn = (): void => {
    if (isWorking || send !== null) return;
    worker?.port.close();
    send = new Exchange().connect(onMessage);
    onReplaced();
  };
  const worker = startWorker();
  if (worker === null) return new Exchange().connect(onMessage);
  worker.addEventListener('error', useOwn);
  worker.port.onmessage = ({ data }: MessageEvent<ToPage>) => {
    if (send !== null) return;
    isWorking = true;
    onMessage(data);
  };
  setTimeout(useOwn, WORKER_PATIENCE_MS);
  return (message) => {
    if (send !== null) send(message);
    else worker.port.postMessage(message);
  };
}

/** Null where a policy forbids it, for example in the private windows of some browsers. */
function startWorker(): SharedWorker | null {
  try {
    return new SharedWorker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'mlxm-events' });
  } catch {
    return null;
  }
}
