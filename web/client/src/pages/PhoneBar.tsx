import { MessagesSquare, Search, UserRound } from 'lucide-react'
import { useChatState } from '../client/context'
import { type Place, ROOMS_PATH, YOU_PATH } from '../store/paths'
import { unreadTotals } from '../store/selectors'
import { classes } from '../ui/classes'
import { Link } from '../ui/router'
import styles from './PhoneBar.module.css'

/** The phone's way around: everything else is one step behind these. */
export function PhoneBar({ page, onFind }: { page: Place['page']; onFind: () => void }) {
  const mentions = useChatState((state) => unreadTotals(state).mentions)
  const inRooms = page !== 'you'
  return (
    <nav className={styles.bar} aria-label="Sections">
      <Link to={ROOMS_PATH} className={classes(styles.item, inRooms && styles.on)} current={page === 'rooms'}>
        <MessagesSquare size={20} strokeWidth={1.75} />
        Rooms
        {mentions > 0 && <span className={styles.mark}><span className="only-spoken">{mentions} for you</span></span>}
      </Link>
      <button type="button" className={styles.item} onClick={onFind}>
        <Search size={20} strokeWidth={1.75} />
        Find
      </button>
      <Link to={YOU_PATH} className={classes(styles.item, page === 'you' && styles.on)} current={page === 'you'}>
        <UserRound size={20} strokeWidth={1.75} />
        You
      </Link>
    </nav>
  )
}
