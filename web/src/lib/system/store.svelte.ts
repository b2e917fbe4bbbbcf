/** The machine and the gateway. */
import { api, type Doctor, type Result, type StreamEvent, type SystemInfo, type SystemMemory } from '$lib/api';
import { events, Resource } from '$lib/events';

export class SystemStore extends Resource {
  info = $state.raw<SystemInfo | null>(null);
  /** Live, once a second. */
  memory = $state.raw<SystemMemory | null>(null);
  /** The result of the last checks. */
  doctor = $state.raw<Doctor | null>(null);

  constructor(stream = events) {
    super(stream, ['system']);
  }

  /** What other programs and the system use of the machine's memory; null if it is not known. */
  get otherBytes(): number | null {
    const [total, available] = [this.info?.memory_bytes, this.memory?.available_bytes];
    if (total == null || available == null || this.memory === null) return null;
    const own = this.memory.servers.reduce(
      (sum, server) => sum + (server.resident_bytes ?? 0),
      this.memory.gateway_resident_bytes ?? 0,
    );
    return Math.max(0, total - available - own);
  }

  /** Runs all checks, which takes a moment. */
  async diagnose(): Promise<Result<Doctor>> {
    const result = await this.act('doctor', () => api.get('/api/system/doctor'));
    if (result.ok) this.doctor = result.value;
    return result;
  }

  get isDiagnosing(): boolean {
    return this.isPending('doctor');
  }

  protected async fetch(): Promise<() => void> {
    const [info, memory] = await Promise.all([api.get('/api/system/info'), api.get('/api/system/memory')]);
    return () => {
      this.info = info;
      this.memory = memory;
    };
  }

  protected reduce(event: StreamEvent): void {
    if (event.topic === 'system') this.memory = event.event;
  }
}

export const system = new SystemStore();
