// Words for properties of models.

import type { Badge, Characteristics, ModelKind } from '$lib/api';

export interface BadgeText {
  label: string;
  title: string;
}

export const badgeTexts: Record<Badge, BadgeText> = {
  vision: { label: 'Vision', title: 'Reads images' },
  video: { label: 'Video', title: 'Reads videos' },
  audio: { label: 'Audio', title: 'Reads or writes sound' },
  tools: { label: 'Tools', title: 'Calls tools, also those of MCP servers' },
  thinking: { label: 'Thinking', title: 'Reasons before it responds' },
  embeddings: { label: 'Embeddings', title: 'Computes vectors of texts' },
  code: { label: 'Code', title: 'Made for code' },
  mixture_of_experts: {
    label: 'MoE',
    title: 'Mixture of experts: uses a part of its parameters per token',
  },
};

export const kindTexts: Record<ModelKind, string> = {
  text: 'Text',
  vision: 'Images and text',
  audio: 'Audio',
  embeddings: 'Embeddings',
  rerank: 'Reranking',
};

/** `30B`, `0.6B`, `135M`. */
export function parametersText(count: number): string {
  if (count >= 999.5e6 || count === 0) return `${short(count / 1e9)}B`;
  // 0.6B is how such models are named.
  return count >= 500e6 ? `${short(count / 1e9)}B` : `${Math.round(count / 1e6)}M`;
}

function short(value: number): string {
  return value >= 10 ? String(Math.round(value)) : String(Number(value.toFixed(1)));
}

/** `4-bit`; null for weights that are not quantized, or of which it is not known. */
export function bitsText(characteristics: Characteristics | null): string | null {
  const quantization = characteristics?.quantization;
  return quantization ? `${quantization.bits}-bit` : null;
}

/** Tokens as people write context lengths: `32k`, `1M`. */
export function contextText(tokens: number): string {
  if (tokens >= 1 << 20 && tokens % (1 << 20) === 0) return `${tokens / (1 << 20)}M`;
  if (tokens >= 1024 && tokens % 1024 === 0) return `${tokens / 1024}k`;
  return tokens >= 10_000 ? `${Math.round(tokens / 1000)}k` : String(tokens);
}
