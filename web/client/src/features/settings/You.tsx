import { LogOut, Monitor, Moon, Sun } from 'lucide-react'
import { useChat, useChatState } from '../../client/context'
import { displayName } from '../../store/selectors'
import { Face } from '../../ui/Face'
import { MenuItem, MenuLine, Popover } from '../../ui/Popover'
import type { Presence } from '../../wire/types'
import { type Theme, useTheme } from './theme'
import styles from './You.module.css'

const STATUSES: { status: Presence; word: string }[] = [
  { status: 'online', word: 'Online' },
  { status: 'away', word: 'Away' },
  { status: 'busy', word: 'Busy' },
]

const THEMES: { theme: Theme; word: string; Icon: typeof Sun }[] = [
  { theme: 'system', word: 'Like the system', Icon: Monitor },
  { theme: 'light', word: 'Light', Icon: Sun },
  { theme: 'dark', word: 'Dark', Icon: Moon },
]

/** One's own face at the top of the sidebar, with everything that concerns oneself behind it. */
export function YouMenu() {
  const me = useChatState((state) => state.me.username)
  const name = useChatState((state) => displayName(state, state.me.username))
  const status = useChatState((state) => (state.connection === 'online' ? state.status : 'offline'))
  return (
    <Popover
      label="You"
      trigger={({ open, toggle }) => (
        <button type="button" className={styles.trigger} aria-haspopup="menu" aria-expanded={open} aria-label={`${name}, ${status}`} title={name} onClick={toggle}>
          <Face id={me} name={name} size="medium" presence={status} />
        </button>
      )}
    >
      {(close) => <YouItems onDone={close} />}
    </Popover>
  )
}

/** The same on a phone, as a page. */
export function YouPage() {
  return (
    <main className={styles.page}>
      <div role="menu" aria-label="You">
        <YouItems onDone={() => undefined} />
      </div>
    </main>
  )
}

function YouItems({ onDone }: { onDone: () => void }) {
  const { client, session, config } = useChat()
  const me = useChatState((state) => state.me)
  const status = useChatState((state) => state.status)
  const [theme, chooseTheme] = useTheme()
  return (
    <>
      <div className={styles.who}>
        <Face id={me.username} name={me.displayName} />
        <div>
          <p className={styles.name}>{me.displayName}</p>
          <p className={styles.note}>@{me.username}{me.roles.includes('admin') && ' · administrator'}</p>
        </div>
      </div>
      <MenuLine />
      {STATUSES.map((entry) => (
        <MenuItem
          key={entry.status}
          icon={<span className={styles.dot} data-status={entry.status} />}
          checked={status === entry.status}
          onChoose={() => {
            client.setStatus(entry.status)
            onDone()
          }}
        >
          {entry.word}
        </MenuItem>
      ))}
      <MenuLine />
      {THEMES.map(({ theme: value, word, Icon }) => (
        <MenuItem key={value} icon={<Icon size={18} strokeWidth={1.75} />} checked={theme === value} onChoose={() => chooseTheme(value)}>
          {word}
        </MenuItem>
      ))}
      <MenuLine />
      <MenuItem icon={<LogOut size={18} strokeWidth={1.75} />} onChoose={() => void session.signOut()}>
        Sign out of {config.workspace}
      </MenuItem>
    </>
  )
}
