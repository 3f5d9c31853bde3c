// Before the first paint: what was chosen last time, so that nothing flashes.
try {
  var theme = localStorage.getItem('theme')
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
} catch (error) {
  // Without storage the system's choice holds.
}
