/** The page is built once and rendered in the browser only. */
export const ssr = false;
export const prerender = false;
export const trailingSlash = 'never';
