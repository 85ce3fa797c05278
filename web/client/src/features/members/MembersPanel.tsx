import { LogOut, UserPlus, X } from 'lucide-react'
import { useState } from 'react'
import { useChat, useChatState } from '../../client/context'
import type { Room } from '../../store/state'
import { Button, IconButton, TextButton } from '../../ui/Button'
import { Face } from '../../ui/Face'
import { Panel } from '../../ui/Panel'
import type { RoomMember } from '../../wire/types'
import styles from './MembersPanel.module.css'

interface MembersPanelProps {
  room: Room
  onInvite: () => void
  onLeft: () => void
  onClose: () => void
}

const ROLE: Record<RoomMember['role'], string> = { owner: 'Owner', admin: 'Admin', member: '' }
const NO_MEMBERS: RoomMember[] = []
const NOBODY: string[] = []

/** Who is in the room: the access list of a private room, or whoever has joined a public one. */
export function MembersPanel({ room, onInvite, onLeft, onClose }: MembersPanelProps) {
  const { client } = useChat()
  const me = useChatState((state) => state.me.username)
  const members = useChatState((state) => state.members[room.name] ?? NO_MEMBERS)
  const present = useChatState((state) => state.present[room.name] ?? NOBODY)
  const people = useChatState((state) => state.people)
  const presence = useChatState((state) => state.presence)
  const [problem, setProblem] = useState<string | null>(null)
  const [leaving, setLeaving] = useState(false)

  const isPrivate = room.kind === 'private'
  const list: RoomMember[] = isPrivate ? members : present.map((username) => ({ username, role: 'member' }))
  const myRole = members.find((member) => member.username === me)?.role ?? room.role
  const manages = isPrivate && (myRole === 'owner' || myRole === 'admin')
  const nameOf = (username: string) => people[username] ?? username
  const sorted = list.toSorted((a, b) => online(b) - online(a) || nameOf(a.username).localeCompare(nameOf(b.username)))

  function online({ username }: RoomMember): number {
    return (presence[username] ?? 'offline') === 'offline' ? 0 : 1
  }

  const attempt = async (work: Promise<void>, then?: () => void) => {
    setProblem(null)
    try {
      await work
      then?.()
    } catch (error) {
      setProblem(error instanceof Error ? error.message : 'That did not work. Try again.')
    }
  }

  return (
    <Panel title="Members" note={isPrivate ? `${list.length} with access` : `${list.length} in this room`} onClose={onClose}>
      <div className={styles.inside}>
        {manages && (
          <Button onClick={onInvite}>
            <UserPlus size={18} strokeWidth={1.75} />
            Invite somebody
          </Button>
        )}
        {problem && <p className={styles.problem} role="alert">{problem}</p>}
        <ul className={styles.list}>
          {sorted.map(({ username, role }) => (
            <li key={username} className={styles.member}>
              <Face id={username} name={nameOf(username)} presence={presence[username] ?? 'offline'} />
              <span className={styles.names}>
                <span className={styles.name}>{nameOf(username)}{username === me && <span className={styles.you}> (you)</span>}</span>
                <span className={styles.username}>@{username}{ROLE[role] && ` · ${ROLE[role]}`}</span>
              </span>
              {manages && username !== me && role !== 'owner' && (
                <IconButton label={`Remove ${nameOf(username)}`} onClick={() => void attempt(client.removeMember(room.name, username))}>
                  <X size={18} strokeWidth={1.75} />
                </IconButton>
              )}
            </li>
          ))}
        </ul>
        {isPrivate && !leaving && (
          <Button look="danger" className={styles.leave} onClick={() => setLeaving(true)}>
            <LogOut size={18} strokeWidth={1.75} />
            Leave room
          </Button>
        )}
        {leaving && (
          <div className={styles.confirm} role="group" aria-label="Leave room">
            <p>You will no longer see this room. Somebody in it has to invite you to come back.</p>
            <Button look="danger" onClick={() => void attempt(client.leaveRoom(room.name), onLeft)}>Leave {room.displayName}</Button>
            <TextButton onClick={() => setLeaving(false)}>Stay</TextButton>
          </div>
        )}
      </div>
    </Panel>
  )
}
