import { Hash, Lock } from 'lucide-react'
import { memo } from 'react'
import { useChatState } from '../../client/context'
import { roomPath } from '../../store/paths'
import { forYou, roomTitle } from '../../store/selectors'
import type { Room } from '../../store/state'
import { Badge } from '../../ui/Badge'
import { classes } from '../../ui/classes'
import { Face } from '../../ui/Face'
import { Link } from '../../ui/router'
import styles from './RoomRow.module.css'

interface RoomRowProps {
  room: Room
  current: boolean
  /** Whether the Tab key stops here. */
  stop: boolean
}

export const RoomRow = memo(function RoomRow({ room, current, stop }: RoomRowProps) {
  return (
    <li>
      <Link
        to={roomPath(room.name)}
        current={current}
        tabIndex={stop ? 0 : -1}
        className={classes(styles.row, current && styles.current, room.unread > 0 && styles.unread)}
      >
        <RoomSign room={room} />
        <span className={styles.name}>{roomTitle(room)}</span>
        <Badge unread={room.unread} mentions={forYou(room)} />
      </Link>
    </li>
  )
})

/** A hash, a lock or a face: what kind of room this is. */
export function RoomSign({ room }: { room: Room }) {
  const other = room.other?.username ?? ''
  const presence = useChatState((state) => state.presence[other] ?? 'offline')
  if (room.kind === 'dm') return <Face id={other} name={roomTitle(room)} size="small" presence={presence} />
  const Sign = room.kind === 'private' ? Lock : Hash
  return (
    <span className={styles.sign}>
      <Sign size={room.kind === 'private' ? 15 : 16} strokeWidth={1.75} aria-hidden="true" />
      {room.kind === 'private' && <span className="only-spoken">Private room</span>}
    </span>
  )
}
