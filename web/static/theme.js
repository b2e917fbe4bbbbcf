// Sets the theme and the width of the rail before the first paint. The page changes them in src/lib/shell.
(function () {
  var choice = null;
  var rail = null;
  try {
    choice = localStorage.getItem('mlxm.theme');
    rail = localStorage.getItem('mlxm.rail');
  } catch {
    // Storage is disabled: follow the system.
  }
  if (rail === 'narrow') document.documentElement.dataset.rail = 'narrow';
  var dark = choice === 'dark' || (choice !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
  document.querySelector('meta[name="theme-color"]').content = dark ? '#13110e' : '#fbfaf7';
})();
