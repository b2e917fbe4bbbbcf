// Changes of a chat before the gateway has confirmed them. No Svelte inside.
import type { Chat, ChatChanges } from '$lib/api';

/** The fields that these changes set. Null removes what can be absent, and means nothing for the others. */
export function shown(changes: ChatChanges): Partial<Chat> {
  const { title, protocol, settings, tags, is_pinned, ...removable } = changes;
  return {
    ...removable,
    ...(title == null ? {} : { title }),
    ...(protocol == null ? {} : { protocol }),
    ...(settings == null ? {} : { settings }),
    ...(tags == null ? {} : { tags }),
    ...(is_pinned == null ? {} : { is_pinned }),
  };
}
