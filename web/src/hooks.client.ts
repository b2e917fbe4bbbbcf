import type { ClientInit, HandleClientError } from '@sveltejs/kit';
import { events } from '$lib/events';

/** Before any page reads what it shows, so that it need not read it again. */
export const init: ClientInit = () => {
  events.start();
};

/** The error page says what is wrong; the console of the page stays empty. */
export const handleError: HandleClientError = ({ status, message }) => ({
  message: status === 404 ? 'There is no such page.' : message,
});
