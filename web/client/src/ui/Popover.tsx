import { type KeyboardEvent, type ReactNode, useEffect, useLayoutEffect, useRef, useState } from 'react'
import { classes } from './classes'
import styles from './Popover.module.css'

interface PopoverProps {
  label: string
  /** Which edge of the trigger it lines up with. */
  align?: 'start' | 'end'
  /** The side it opens to if there is room. */
  side?: 'below' | 'above'
  role?: 'menu' | 'dialog'
  trigger: (props: { open: boolean; toggle: () => void }) => ReactNode
  children: (close: () => void) => ReactNode
}

const ITEMS = 'button:not(:disabled), a[href], input'

/** Something small that floats beside its trigger. Arrows move inside it, Escape closes it and gives focus back. */
export function Popover({ label, align = 'end', side = 'below', role = 'menu', trigger, children }: PopoverProps) {
  const [open, setOpen] = useState(false)
  const [flipped, setFlipped] = useState(false)
  const root = useRef<HTMLSpanElement>(null)
  const panel = useRef<HTMLDivElement>(null)

  const close = () => {
    setOpen(false)
    root.current?.querySelector<HTMLElement>('button')?.focus()
  }

  useLayoutEffect(() => {
    if (!open || !panel.current || !root.current) return
    const height = panel.current.offsetHeight + 12
    const trigger = root.current.getBoundingClientRect()
    const bounds = clipping(root.current)
    const [below, above] = [bounds.bottom - trigger.bottom, trigger.top - bounds.top]
    setFlipped(side === 'below' ? below < height && above > below : above < height && below > above)
    const items = panel.current.querySelectorAll<HTMLElement>(ITEMS)
    const chosen = [...items].find((item) => item.getAttribute('aria-checked') === 'true')
    ;(chosen ?? items[0])?.focus()
  }, [open, side])

  useEffect(() => {
    if (!open) return
    const leave = (event: PointerEvent) => {
      if (event.target instanceof Node && !root.current?.contains(event.target)) setOpen(false)
    }
    document.addEventListener('pointerdown', leave)
    return () => document.removeEventListener('pointerdown', leave)
  }, [open])

  const move = (event: KeyboardEvent) => {
    if (event.key === 'Escape') {
      event.stopPropagation()
      event.preventDefault()
      return close()
    }
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key]
    if (step === undefined || event.target instanceof HTMLInputElement) return
    event.preventDefault()
    const items = [...(panel.current?.querySelectorAll<HTMLElement>(ITEMS) ?? [])]
    const at = items.findIndex((item) => item === document.activeElement)
    items.at((at + step + items.length) % items.length)?.focus()
  }

  const above = (side === 'above') !== flipped
  return (
    <span ref={root} className={styles.root}>
      {trigger({ open, toggle: () => setOpen(!open) })}
      {open && (
        <div
          ref={panel}
          role={role}
          aria-label={label}
          className={classes(styles.panel, above ? styles.above : styles.below, align === 'end' ? styles.end : styles.start)}
          onKeyDown={move}
          onBlur={(event) => {
            if (event.relatedTarget instanceof Node && !root.current?.contains(event.relatedTarget)) setOpen(false)
          }}
        >
          {children(close)}
        </div>
      )}
    </span>
  )
}

/** What cuts the popover off: the nearest scrolling ancestor, else the window. */
function clipping(element: HTMLElement): { top: number; bottom: number } {
  for (let parent = element.parentElement; parent; parent = parent.parentElement) {
    if (getComputedStyle(parent).overflowY === 'auto') return parent.getBoundingClientRect()
  }
  return { top: 0, bottom: window.innerHeight }
}

interface MenuItemProps {
  icon?: ReactNode
  checked?: boolean | undefined
  look?: 'plain' | 'danger'
  onChoose: () => void
  children: ReactNode
}

export function MenuItem({ icon, checked, look = 'plain', onChoose, children }: MenuItemProps) {
  return (
    <button
      type="button"
      role={checked === undefined ? 'menuitem' : 'menuitemradio'}
      aria-checked={checked}
      className={classes(styles.item, look === 'danger' && styles.danger)}
      onClick={onChoose}
    >
      {icon}
      <span>{children}</span>
    </button>
  )
}

export function MenuLine() {
  return <hr className={styles.line} />
}
