import { X } from 'lucide-react'
import { type ReactNode, useEffect, useRef } from 'react'
import { IconButton } from './Button'
import styles from './Panel.module.css'

interface PanelProps {
  title: string
  note?: string
  onClose: () => void
  children: ReactNode
}

/** The column at the right: a thread, the members. Escape closes it, and focus returns where it came from. */
export function Panel({ title, note, onClose, children }: PanelProps) {
  const root = useRef<HTMLElement>(null)

  useEffect(() => {
    const before = document.activeElement
    if (!root.current?.contains(before)) root.current?.focus()
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus()
    }
  }, [])

  return (
    <aside
      ref={root}
      className={styles.panel}
      aria-label={title}
      tabIndex={-1}
      onKeyDown={(event) => {
        if (event.key === 'Escape' && !event.defaultPrevented) onClose()
      }}
    >
      <header className={styles.header}>
        <h2>{title}</h2>
        {note && <p>{note}</p>}
        <IconButton label={`Close ${title.toLowerCase()}`} className={styles.close} onClick={onClose}>
          <X size={18} strokeWidth={1.75} />
        </IconButton>
      </header>
      {children}
    </aside>
  )
}
