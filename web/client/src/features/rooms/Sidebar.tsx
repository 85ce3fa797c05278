import { Plus, Search } from 'lucide-react'
import { type KeyboardEvent, type ReactNode, useMemo } from 'react'
import { useChat, useChatState } from '../../client/context'
import { sections } from '../../store/selectors'
import { IconButton } from '../../ui/Button'
import { Toad } from '../../ui/Toad'
import { RoomRow } from './RoomRow'
import styles from './Sidebar.module.css'

interface SidebarProps {
  current: string | null
  /** The menu of the signed-in person, at the top right. */
  you: ReactNode
  onFind: () => void
  onCreateRoom: () => void
  onStartDirect: () => void
}

export function Sidebar({ current, you, onFind, onCreateRoom, onStartDirect }: SidebarProps) {
  const { config } = useChat()
  const rooms = useChatState((state) => state.rooms)
  const started = useChatState((state) => state.started)
  const lists = useMemo(() => sections(rooms), [rooms])
  const all = [...lists.rooms, ...lists.direct]
  // One stop for the Tab key: the current room, or the first; arrows move on from there.
  const stop = all.some((room) => room.name === current) ? current : (all[0]?.name ?? null)

  return (
    <nav className={styles.sidebar} aria-label="Rooms">
      <div className={styles.brand}>
        <Toad />
        <span className={styles.workspace}>{config.workspace}</span>
        {you}
      </div>
      <button type="button" className={styles.find} onClick={onFind}>
        <Search size={18} strokeWidth={1.75} />
        Find a room or person
        <kbd>Ctrl K</kbd>
      </button>
      <div className={styles.lists} onKeyDown={walk}>
        <Section title="Rooms" action="Create a private room" onAction={onCreateRoom}>
          {lists.rooms.map((room) => <RoomRow key={room.name} room={room} current={room.name === current} stop={room.name === stop} />)}
          {!started && <RowSkeleton />}
        </Section>
        <Section title="Direct messages" action="Start a direct message" onAction={onStartDirect}>
          {lists.direct.map((room) => <RoomRow key={room.name} room={room} current={room.name === current} stop={room.name === stop} />)}
          {started && lists.direct.length === 0 && (
            <li className={styles.empty}>
              <button type="button" onClick={onStartDirect}>Write to somebody</button>
            </li>
          )}
        </Section>
      </div>
    </nav>
  )
}

interface SectionProps {
  title: string
  action: string
  onAction: () => void
  children: ReactNode
}

function Section({ title, action, onAction, children }: SectionProps) {
  return (
    <section aria-label={title}>
      <div className={styles.head}>
        <h2>{title}</h2>
        <IconButton label={action} onClick={onAction}>
          <Plus size={16} strokeWidth={1.75} />
        </IconButton>
      </div>
      <ul>{children}</ul>
    </section>
  )
}

function RowSkeleton() {
  return (
    <li className={styles.skeleton} role="status">
      <span className="only-spoken">Loading rooms</span>
      <span /><span /><span />
    </li>
  )
}

function walk(event: KeyboardEvent<HTMLElement>) {
  const rows = [...event.currentTarget.querySelectorAll<HTMLElement>('a[href]')]
  const at = rows.findIndex((row) => row === document.activeElement)
  if (at < 0) return
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key]
  if (next === undefined) return
  event.preventDefault()
  rows[Math.max(0, Math.min(rows.length - 1, next))]?.focus()
}
