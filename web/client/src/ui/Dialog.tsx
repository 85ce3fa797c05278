import { X } from 'lucide-react'
import { type ReactNode, useEffect, useId, useRef } from 'react'
import { IconButton } from './Button'
import { classes } from './classes'
import styles from './Dialog.module.css'

interface DialogProps {
  title: string
  onClose: () => void
  /** `bare` has no visible title and closes by Escape or a click beside it. */
  look?: 'card' | 'bare'
  children: ReactNode
}

/** A modal dialog: the native element keeps focus inside, closes on Escape and gives focus back. */
export function Dialog({ title, onClose, look = 'card', children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  const titleId = useId()

  useEffect(() => {
    const element = dialog.current
    const before = document.activeElement
    element?.showModal()
    // Left alone, the browser would start at the close button.
    element?.querySelector<HTMLElement>('input, textarea')?.focus()
    return () => {
      element?.close()
      if (before instanceof HTMLElement) before.focus()
    }
  }, [])

  return (
    <dialog
      ref={dialog}
      className={classes(styles.dialog, styles[look])}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault()
        onClose()
      }}
      onPointerDown={(event) => {
        if (event.target === dialog.current) onClose()
      }}
    >
      <div className={styles.inside}>
        <header className={look === 'bare' ? 'only-spoken' : styles.header}>
          <h2 id={titleId}>{title}</h2>
          {look === 'card' && (
            <IconButton label="Close" onClick={onClose}>
              <X size={18} strokeWidth={1.75} />
            </IconButton>
          )}
        </header>
        {children}
      </div>
    </dialog>
  )
}

export function DialogActions({ children }: { children: ReactNode }) {
  return <div className={styles.actions}>{children}</div>
}
