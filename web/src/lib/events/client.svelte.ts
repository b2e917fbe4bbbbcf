/** The event stream of the page: its connection, and the stores that listen to it. */
import type { StreamEvent } from '../api/types';
import type { ToExchange, ToPage } from './exchange';
import type { HubStatus, ProblemData } from './hub';
import { openLink, type Send } from './link';
import { topicOf, type TopicName } from './topics';

/** Time that a snapshot waits for the stream, so that it misses no change. After it, the snapshot is read twice. */
const READY_TIMEOUT_MS = 300;

/** Who gets the events of some topics. */
export interface Listener {
  readonly topics: readonly TopicName[];
  apply(event: StreamEvent): void;
  /** Events were lost: read the topics again. */
  reset(topics: readonly TopicName[]): void;
  /** The topics are live, for the first time or again. */
  live?(): void;
}

/** What the page shows of the connection. */
export class Connection {
  #status = $state.raw<HubStatus>({ state: 'idle', topics: [], downSinceMs: null, retryAtMs: null, problem: null });
  #retry: () => void;

  constructor(retry: () => void) {
    this.#retry = retry;
  }

  /** `waiting`: it was lost, and is opened again at `retryAtMs`. */
  get state(): 'connecting' | 'live' | 'waiting' {
    return this.#status.state === 'idle' ? 'connecting' : this.#status.state;
  }

  /** Nothing that is shown changes any more. */
  get isDown(): boolean {
    return this.#status.downSinceMs !== null;
  }

  get downSinceMs(): number | null {
    return this.#status.downSinceMs;
  }

  get retryAtMs(): number | null {
    return this.#status.retryAtMs;
  }

  /** Why it was lost; null if it is not, or just ended. */
  get problem(): ProblemData | null {
    return this.#status.problem;
  }

  get topics(): readonly TopicName[] {
    return this.#status.topics;
  }

  retryNow(): void {
    this.#retry();
  }

  /** Called by the stream. */
  update(status: HubStatus): void {
    this.#status = status;
  }
}

/** The stream. `open` is replaced in tests. */
export class Events {
  readonly connection = new Connection(() => this.#send?.({ type: 'retry' }));
  #listeners = new Set<Listener>();
  #send: Send | null = null;
  #waiting = new Set<() => void>();
  #open: typeof openLink;

  constructor(open: typeof openLink = openLink) {
    this.#open = open;
  }

  /** Connects, once, in the browser. */
  start(): void {
    if (this.#send !== null) return;
    this.#send = this.#open(
      (message) => this.#receive(message),
      () => this.#sendTopics(),
    );
    this.#sendTopics();
    this.#watchPage();
  }

  /** Sends events of topics to a listener, until the function is called that it returns. */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    this.#sendTopics();
    return () => {
      this.#listeners.delete(listener);
      this.#sendTopics();
    };
  }

  /**
   * Waits until the events of topics arrive, so that a snapshot that is read then misses no change. False if the connection
   * does not work: what is read then has to be read again once it does.
   */
  async ready(topics: readonly TopicName[]): Promise<boolean> {
    const isDecided = (): boolean => this.isLive(topics) || this.connection.isDown;
    if (this.#send === null) return false;
    if (!isDecided()) {
      await new Promise<void>((resolve) => {
        const finish = (): void => {
          clearTimeout(timeout);
          this.#waiting.delete(check);
          resolve();
        };
        const check = (): void => {
          if (isDecided()) finish();
        };
        const timeout = setTimeout(finish, READY_TIMEOUT_MS);
        this.#waiting.add(check);
      });
    }
    return this.isLive(topics);
  }

  /** Whether events of all these topics arrive. */
  isLive(topics: readonly TopicName[]): boolean {
    return topics.every((topic) => this.connection.topics.includes(topic));
  }

  #receive(message: ToPage): void {
    switch (message.type) {
      case 'status':
        this.#update(message.status);
        return;
      case 'events':
        for (const event of message.events) this.#dispatch(event);
        this.#post({ type: 'read' });
        return;
      case 'forgotten':
        this.#rejoin();
    }
  }

  #update(status: HubStatus): void {
    const before = new Set(this.connection.topics);
    this.connection.update(status);
    for (const check of [...this.#waiting]) check();
    for (const listener of [...this.#listeners]) {
      const wasLive = listener.topics.every((topic) => before.has(topic));
      if (!wasLive && this.isLive(listener.topics)) listener.live?.();
    }
  }

  #dispatch(event: StreamEvent): void {
    if (event.topic === 'reset') {
      this.#reset(event.event.topics);
      return;
    }
    const topic = topicOf(event);
    if (topic === null) return;
    for (const listener of [...this.#listeners]) {
      if (listener.topics.includes(topic)) listener.apply(event);
    }
  }

  #reset(topics: readonly TopicName[]): void {
    for (const listener of [...this.#listeners]) {
      const lost = listener.topics.filter((topic) => topics.includes(topic));
      if (lost.length > 0) listener.reset(lost);
    }
  }

  get #topics(): TopicName[] {
    return [...new Set([...this.#listeners].flatMap((listener) => listener.topics))];
  }

  #sendTopics(): void {
    this.#post({ type: 'topics', topics: this.#topics });
  }

  #post(message: ToExchange): void {
    this.#send?.(message);
  }

  /** After the page was frozen: what happened meanwhile was not kept for it. */
  #rejoin(): void {
    this.#sendTopics();
    this.#reset(this.#topics);
  }

  #watchPage(): void {
    if (typeof window === 'undefined') return;
    window.addEventListener('pagehide', () => this.#post({ type: 'bye' }));
    window.addEventListener('pageshow', (event) => {
      if (event.persisted) this.#rejoin();
    });
    window.addEventListener('online', () => this.#post({ type: 'retry' }));
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.#post({ type: 'retry' });
    });
  }
}
