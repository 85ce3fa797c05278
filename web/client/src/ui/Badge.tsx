import styles from './Badge.module.css'

const SHOWN_MAX = 99

/** How much is unread; yellow when some of it is for you. */
export function Badge({ unread, mentions }: { unread: number; mentions: number }) {
  if (unread === 0 && mentions === 0) return null
  const forYou = mentions > 0
  const count = forYou ? mentions : unread
  return (
    <span className={forYou ? styles.mark : styles.quiet}>
      <span className="only-spoken">{count} {forYou ? 'for you' : 'unread'}</span>
      <span aria-hidden="true">{count > SHOWN_MAX ? `${SHOWN_MAX}+` : count}</span>
    </span>
  )
}
