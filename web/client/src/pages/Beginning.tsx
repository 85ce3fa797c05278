import { UserPlus } from 'lucide-react'
import { useChatState } from '../client/context'
import { exactTimeOf, timeOf } from '../features/timeline/days'
import { Markdown } from '../features/timeline/Markdown'
import { displayName, roomTitle } from '../store/selectors'
import type { Message, Room } from '../store/state'
import { Button } from '../ui/Button'
import { Face } from '../ui/Face'
import { Toad } from '../ui/Toad'
import styles from './Beginning.module.css'

/** What stands above the first message of a room: one sentence and, where it helps, one action. */
export function Beginning({ room, onInvite }: { room: Room; onInvite: () => void }) {
  const title = roomTitle(room)
  const manages = room.kind === 'private' && (room.role === 'owner' || room.role === 'admin')
  return (
    <div className={styles.beginning}>
      {room.kind === 'dm' ? <Face id={room.other?.username ?? ''} name={title} /> : <Toad size={40} />}
      <h2>{room.kind === 'dm' ? title : `#${title}`}</h2>
      <p>{sentence(room, title)}</p>
      {manages && (
        <Button onClick={onInvite}>
          <UserPlus size={18} strokeWidth={1.75} />
          Invite somebody
        </Button>
      )}
    </div>
  )
}

function sentence(room: Room, title: string): string {
  switch (room.kind) {
    case 'dm':
      return `This is between you and ${title}. Nobody else can read it.`
    case 'private':
      return 'This room begins here. Only people who were invited can see it.'
    case 'public':
      return 'This room begins here. Everybody in the workspace can read and write.'
  }
}

/** The message that a thread answers. */
export function ThreadBeginning({ parent }: { parent: Message | undefined }) {
  const people = useChatState((state) => state.people)
  const me = useChatState((state) => state.me.username)
  const name = useChatState((state) => displayName(state, parent?.user ?? ''))
  if (!parent) return null
  return (
    <>
      <div className={styles.parent}>
        <Face id={parent.user} name={name} />
        <div className={styles.body}>
          <p>
            <span className={styles.name}>{name}</span>
            <time title={exactTimeOf(parent.timestamp)}>{timeOf(parent.timestamp)}</time>
          </p>
          {parent.deleted ? <p className={styles.quiet}>This message was deleted.</p> : <Markdown text={parent.text} me={me} nameOf={(username) => people[username] ?? username} />}
        </div>
      </div>
      <div className={styles.count}>{parent.replyCount === 0 ? 'No replies yet' : parent.replyCount === 1 ? '1 reply' : `${parent.replyCount} replies`}</div>
    </>
  )
}
