import { classes } from '../../ui/classes'
import styles from './Reactions.module.css'

interface ReactionsProps {
  reactions: Record<string, string[]>
  me: string
  nameOf: (username: string) => string
  onToggle: (emoji: string) => void
}

export function Reactions({ reactions, me, nameOf, onToggle }: ReactionsProps) {
  const entries = Object.entries(reactions)
  if (entries.length === 0) return null
  return (
    <div className={styles.chips} role="group" aria-label="Reactions">
      {entries.map(([emoji, users]) => {
        const mine = users.includes(me)
        const names = users.map((user) => (user === me ? 'you' : nameOf(user))).join(', ')
        return (
          <button
            key={emoji}
            type="button"
            className={classes(styles.chip, mine && styles.mine)}
            aria-pressed={mine}
            aria-label={`${emoji} ${users.length}, ${names}`}
            title={names}
            onClick={() => onToggle(emoji)}
          >
            <span>{emoji}</span>
            <span>{users.length}</span>
          </button>
        )
      })}
    </div>
  )
}
