// An icon for each state of a download: a state is never only a color.

import Ban from '@lucide/svelte/icons/ban';
import CircleAlert from '@lucide/svelte/icons/circle-alert';
import CircleCheck from '@lucide/svelte/icons/circle-check';
import CircleDashed from '@lucide/svelte/icons/circle-dashed';
import CirclePause from '@lucide/svelte/icons/circle-pause';
import Clock from '@lucide/svelte/icons/clock';
import Download from '@lucide/svelte/icons/download';
import FileText from '@lucide/svelte/icons/file-text';
import ShieldCheck from '@lucide/svelte/icons/shield-check';
import type { DownloadState } from '$lib/api';
import type { IconType } from '$lib/ui';

export const stateIcons: Record<DownloadState, IconType> = {
  queued: CircleDashed,
  checking: FileText,
  running: Download,
  verifying: ShieldCheck,
  waiting: Clock,
  paused: CirclePause,
  done: CircleCheck,
  failed: CircleAlert,
  cancelled: Ban,
};
