// Sets the theme before the first paint. The page changes it in src/lib/shell/theme.svelte.ts.
(function () {
  var choice = null;
  try {
    choice = localStorage.getItem('mlxm.theme');
  } catch {
    // Storage is disabled: follow the system.
  }
  var dark = choice === 'dark' || (choice !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
  document.querySelector('meta[name="theme-color"]').content = dark ? '#13110e' : '#fbfaf7';
})();
