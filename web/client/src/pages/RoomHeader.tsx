import { ChevronLeft } from 'lucide-react'
import { useChatState } from '../client/context'
import { RoomSign } from '../features/rooms/RoomRow'
import { ROOMS_PATH } from '../store/paths'
import { roomTitle } from '../store/selectors'
import type { Room } from '../store/state'
import { classes } from '../ui/classes'
import { Face } from '../ui/Face'
import { Link } from '../ui/router'
import styles from './RoomHeader.module.css'

const FACES_MAX = 4
const NOBODY: string[] = []
const STATUS = { online: 'Online', away: 'Away', busy: 'Busy', offline: 'Offline' }

interface RoomHeaderProps {
  room: Room
  membersOpen: boolean
  onMembers: () => void
}

export function RoomHeader({ room, membersOpen, onMembers }: RoomHeaderProps) {
  const other = room.other?.username ?? ''
  const presence = useChatState((state) => state.presence[other] ?? 'offline')
  return (
    <header className={styles.header}>
      <Link to={ROOMS_PATH} className={styles.back} label="All rooms">
        <ChevronLeft size={22} strokeWidth={1.75} />
      </Link>
      <span className={room.kind === 'dm' ? styles.face : styles.sign}><RoomSign room={room} /></span>
      <h1>{roomTitle(room)}</h1>
      <p>{room.kind === 'dm' ? STATUS[presence] : room.kind === 'private' ? 'Private room' : ''}</p>
      {room.kind !== 'dm' && <MembersButton room={room} open={membersOpen} onToggle={onMembers} />}
    </header>
  )
}

function MembersButton({ room, open, onToggle }: { room: Room; open: boolean; onToggle: () => void }) {
  const present = useChatState((state) => state.present[room.name] ?? NOBODY)
  const members = useChatState((state) => state.members[room.name])
  const presence = useChatState((state) => state.presence)
  const people = useChatState((state) => state.people)
  const names = room.kind === 'private' ? (members?.map((member) => member.username) ?? present) : present
  const online = names.filter((name) => (presence[name] ?? 'offline') !== 'offline')
  const faces = [...online, ...names.filter((name) => !online.includes(name))].slice(0, FACES_MAX)
  const count = room.kind === 'private' ? names.length : online.length
  return (
    <button type="button" className={classes(styles.members, open && styles.open)} aria-expanded={open} title="Members" onClick={onToggle}>
      <span className="only-spoken">Members</span>
      <span className={styles.faces}>
        {faces.map((name) => <Face key={name} id={name} name={people[name] ?? name} size="small" />)}
      </span>
      {count > 0 && <span>{count}</span>}
    </button>
  )
}
