import type { HandleClientError } from '@sveltejs/kit';

/** The error page says what is wrong; the console of the page stays empty. */
export const handleError: HandleClientError = ({ status, message }) => ({
  message: status === 404 ? 'There is no such page.' : message,
});
