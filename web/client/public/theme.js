// Runs before the first paint, so that a chosen theme never flashes in the other one's colours.
// A file of its own because the page's content policy allows no inline script.
try {
  var chosen = localStorage.getItem('natterjack.theme')
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen
} catch (_) {
  // Storage can be blocked; the system's theme then applies.
}
