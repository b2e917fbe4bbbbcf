// What a chat is called where it is listed or opened. No Svelte inside.

/** Its title, which the gateway makes from the first message. A chat without messages has none. */
export function titleOf({ title }: { title: string }): string {
  return title.trim() === '' ? 'Untitled chat' : title;
}
