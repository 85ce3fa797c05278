import { classes } from '../../ui/classes'
import { Face } from '../../ui/Face'
import type { Person } from '../../wire/types'
import styles from './MentionList.module.css'

interface MentionListProps {
  id: string
  people: Person[]
  chosen: string
  onChoose: (username: string) => void
}

/** The people one may mean; focus stays in the composer. */
export function MentionList({ id, people, chosen, onChoose }: MentionListProps) {
  return (
    <ul id={id} className={styles.list} role="listbox" aria-label="People">
      {people.map(({ username, displayName }) => (
        <li
          key={username}
          id={`${id}-${username}`}
          role="option"
          aria-selected={username === chosen}
          className={classes(styles.item, username === chosen && styles.chosen)}
          onPointerDown={(event) => {
            event.preventDefault()
            onChoose(username)
          }}
        >
          <Face id={username} name={displayName} size="medium" />
          <span className={styles.name}>{displayName}</span>
          <span className={styles.username}>@{username}</span>
        </li>
      ))}
    </ul>
  )
}
