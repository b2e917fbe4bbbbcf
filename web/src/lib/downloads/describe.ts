// What a tile says about a download.

import type { Download, DownloadState } from '$lib/api';
import type { Tone } from '$lib/ui';
import { bytes, rate, remaining } from '$lib/format';

export interface Description {
  /** One or two words. */
  state: string;
  tone: Tone;
  /** Amounts, speed and time left. */
  progress: string;
  /** From 0 to 1; null while the total is not known. */
  done: number | null;
}

export type DownloadAction = 'pause' | 'resume' | 'retry' | 'cancel' | 'dismiss' | 'start';

const states: Record<DownloadState, [string, Tone]> = {
  queued: ['Queued', 'neutral'],
  checking: ['Reading the list of files', 'brand'],
  running: ['Downloading', 'brand'],
  verifying: ['Checking the files', 'brand'],
  waiting: ['Waiting', 'warn'],
  paused: ['Paused', 'neutral'],
  done: ['Downloaded', 'ok'],
  failed: ['Failed', 'bad'],
  cancelled: ['Cancelled', 'neutral'],
};

const waits = {
  disk: 'Waiting for disk space',
  network: 'Waiting for the network',
  lock: 'Waiting for another program',
};

export function describe(download: Download): Description {
  const [word, tone] = states[download.state];
  const reason = download.state === 'waiting' ? download.waiting_for : null;
  return {
    state: reason ? waits[reason] : word,
    tone,
    progress: progressText(download),
    done: doneRatio(download),
  };
}

export function doneRatio(download: Download): number | null {
  const total = download.total_bytes ?? 0;
  if (download.state === 'done') return 1;
  return total > 0 ? Math.min(1, download.done_bytes / total) : null;
}

function progressText(download: Download): string {
  const total = download.total_bytes;
  if (download.state === 'done') return bytes(total ?? download.done_bytes);
  const parts: string[] = [];
  if (total) parts.push(`${bytes(download.done_bytes)} of ${bytes(total)}`);
  if (download.state === 'running') {
    if (download.bytes_per_second) parts.push(rate(download.bytes_per_second));
    const seconds = remainingSeconds(download);
    if (seconds !== null) parts.push(`${remaining(seconds)} left`);
  }
  return parts.join(' · ');
}

/** From the newest amounts, which are more recent than the time in the row. */
function remainingSeconds(download: Download): number | null {
  const speed = download.bytes_per_second ?? 0;
  if (!download.total_bytes || speed <= 0) return null;
  return Math.max(0, download.total_bytes - download.done_bytes) / speed;
}

const endings: DownloadState[] = ['done', 'failed', 'cancelled'];

/** Whether a download does nothing more by itself. */
export function hasEnded(download: Download): boolean {
  return endings.includes(download.state);
}

export function actions(download: Download): DownloadAction[] {
  switch (download.state) {
    case 'queued':
    case 'checking':
    case 'running':
    case 'verifying':
      return ['pause', 'cancel'];
    case 'waiting':
      return ['retry', 'pause', 'cancel'];
    case 'paused':
      return ['resume', 'cancel'];
    case 'failed':
      return ['retry', 'dismiss'];
    case 'cancelled':
      return ['resume', 'dismiss'];
    case 'done':
      return ['start', 'dismiss'];
  }
}

/** The order after a download was moved by one place, or null if it is at the end. */
export function moved(ids: string[], id: string, by: -1 | 1): string[] | null {
  const from = ids.indexOf(id);
  const to = from + by;
  const other = ids[to];
  if (from < 0 || other === undefined) return null;
  const order = [...ids];
  order[to] = id;
  order[from] = other;
  return order;
}

/** Why a click on Download would do nothing new, or null. */
export function busyText(download: Download | undefined): string | null {
  if (!download || hasEnded(download)) return null;
  const ratio = doneRatio(download);
  const percent = ratio === null ? '' : `, ${Math.floor(ratio * 100)}%`;
  return `${describe(download).state}${percent}`;
}
