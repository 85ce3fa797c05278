import type { Presence } from '../wire/types'
import { classes } from './classes'
import styles from './Face.module.css'

const FACES = 8
const WORDS: Record<Presence, string> = { online: 'online', away: 'away', busy: 'busy', offline: 'offline' }

interface FaceProps {
  /** What the colour follows from. */
  id: string
  name: string
  size?: 'large' | 'medium' | 'small'
  presence?: Presence | undefined
}

/** Somebody's avatar: initials on a soft square. The name beside it is what screen readers say. */
export function Face({ id, name, size = 'large', presence }: FaceProps) {
  return (
    <span className={classes(styles.face, styles[size])} data-face={hash(id) % FACES}>
      <span aria-hidden="true">{initials(name)}</span>
      {presence && (
        <span className={styles.dot} data-presence={presence}>
          <span className="only-spoken">{WORDS[presence]}</span>
        </span>
      )}
    </span>
  )
}

export function initials(name: string): string {
  const words = name.trim().split(/[\s._-]+/).filter(Boolean)
  const first = [...(words[0] ?? '?')]
  const second = words.length > 1 ? [...(words.at(-1) ?? '')][0] : first[1]
  return `${first[0] ?? '?'}${second ?? ''}`.toUpperCase()
}

function hash(text: string): number {
  let value = 2166136261
  for (const char of text) value = Math.imul(value ^ (char.codePointAt(0) ?? 0), 16777619)
  return value >>> 3
}
