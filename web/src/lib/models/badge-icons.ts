import AudioLines from '@lucide/svelte/icons/audio-lines';
import Brain from '@lucide/svelte/icons/brain';
import Code from '@lucide/svelte/icons/code';
import Eye from '@lucide/svelte/icons/eye';
import Layers from '@lucide/svelte/icons/layers';
import Braces from '@lucide/svelte/icons/braces';
import Video from '@lucide/svelte/icons/video';
import Wrench from '@lucide/svelte/icons/wrench';
import type { Badge } from '$lib/api';
import type { IconType } from '$lib/ui';

export const badgeIcons: Record<Badge, IconType> = {
  vision: Eye,
  video: Video,
  audio: AudioLines,
  tools: Wrench,
  thinking: Brain,
  embeddings: Braces,
  code: Code,
  mixture_of_experts: Layers,
};
