/** The address bar as state: one path, links that change it, and going back. */
import { type MouseEvent, type ReactNode, type Ref, useSyncExternalStore } from 'react'

const CHANGED = 'natterjack:navigated'

function subscribe(listener: () => void): () => void {
  window.addEventListener('popstate', listener)
  window.addEventListener(CHANGED, listener)
  return () => {
    window.removeEventListener('popstate', listener)
    window.removeEventListener(CHANGED, listener)
  }
}

export function usePath(): string {
  return useSyncExternalStore(subscribe, () => window.location.pathname)
}

export function navigate(path: string, how: 'push' | 'replace' = 'push'): void {
  if (path === window.location.pathname) return
  if (how === 'push') window.history.pushState(null, '', path)
  else window.history.replaceState(null, '', path)
  window.dispatchEvent(new Event(CHANGED))
}

interface LinkProps {
  to: string
  className?: string | undefined
  current?: boolean
  label?: string
  tabIndex?: number
  ref?: Ref<HTMLAnchorElement>
  children: ReactNode
}

export function Link({ to, className, current = false, label, tabIndex, ref, children }: LinkProps) {
  const follow = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    event.preventDefault()
    navigate(to)
  }
  return (
    <a ref={ref} href={to} className={className} aria-current={current ? 'page' : undefined} aria-label={label} tabIndex={tabIndex} onClick={follow}>
      {children}
    </a>
  )
}
