/** The chosen theme. `public/theme.js` puts it on the page before the first paint; this changes it later. */
import { useState } from 'react'

export type Theme = 'system' | 'light' | 'dark'

const KEY = 'natterjack.theme'

function chosenTheme(): Theme {
  const theme = document.documentElement.dataset.theme
  return theme === 'light' || theme === 'dark' ? theme : 'system'
}

export function useTheme(): [Theme, (theme: Theme) => void] {
  const [theme, setTheme] = useState(chosenTheme)
  const choose = (next: Theme) => {
    if (next === 'system') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = next
    try {
      if (next === 'system') localStorage.removeItem(KEY)
      else localStorage.setItem(KEY, next)
    } catch {
      // Not remembered where storage is blocked; it still applies to this page.
    }
    setTheme(next)
  }
  return [theme, choose]
}
