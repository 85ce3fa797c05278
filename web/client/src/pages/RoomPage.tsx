import { useCallback, useEffect, useState } from 'react'
import { useChat, useChatState } from '../client/context'
import { Composer } from '../features/composer/Composer'
import { MembersPanel } from '../features/members/MembersPanel'
import { ThreadPanel } from '../features/threads/ThreadPanel'
import { Timeline } from '../features/timeline/Timeline'
import { ROOMS_PATH, roomPath, threadPath } from '../store/paths'
import { roomTitle } from '../store/selectors'
import { type Message, type Room, timelineKey } from '../store/state'
import { navigate } from '../ui/router'
import { Beginning, ThreadBeginning } from './Beginning'
import { RoomHeader } from './RoomHeader'
import styles from './Shell.module.css'

interface RoomPageProps {
  room: Room
  thread: number | null
  onInvite: () => void
}

export function RoomPage({ room, thread, onInvite }: RoomPageProps) {
  const { client } = useChat()
  const [members, setMembers] = useState(false)
  const [editing, setEditing] = useState<string | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  const name = room.name
  const title = room.kind === 'dm' ? roomTitle(room) : `#${roomTitle(room)}`

  useEffect(() => {
    client.openRoom(name)
    setEditing(null)
    setProblem(null)
    return () => client.openRoom(null)
  }, [client, name])

  useEffect(() => {
    if (!problem) return
    const timer = setTimeout(() => setProblem(null), 8_000)
    return () => clearTimeout(timer)
  }, [problem])

  const older = useCallback(() => void client.history.older(name), [client, name])
  const openThread = useCallback((message: Message) => navigate(threadPath(name, message.timestamp)), [name])
  const closeSide = useCallback(() => {
    setMembers(false)
    if (thread !== null) navigate(roomPath(name))
  }, [name, thread])

  const editLast = (key: string) => {
    const { me, timelines } = client.store.state()
    const mine = timelines[key]?.messages.findLast((message) => message.user === me.username && message.delivery === 'sent' && !message.deleted)
    if (mine) setEditing(mine.key)
  }

  return (
    <>
      <main className={styles.main} key={name}>
        <RoomHeader room={room} membersOpen={members} onMembers={() => setMembers(!members)} />
        <Timeline
          id={name}
          label={`Messages in ${title}`}
          beginning={<Beginning room={room} onInvite={onInvite} />}
          tracksReading
          onOlder={older}
          onRetryLoad={() => void client.history.retry(name)}
          onOpenThread={openThread}
          onProblem={setProblem}
          editing={editing}
          onEditing={setEditing}
        />
        {problem && <p className={styles.problem} role="alert">{problem}</p>}
        <Composer key={name} room={name} parentTimestamp={null} placeholder={`Message ${title}`} autoFocus={thread === null} onEditLast={() => editLast(name)} />
      </main>
      {members && thread === null && (
        <MembersPanel room={room} onInvite={onInvite} onClose={closeSide} onLeft={() => navigate(ROOMS_PATH, 'replace')} />
      )}
      {thread !== null && (
        <Thread key={`${name}/${thread}`} room={name} title={title} parentTimestamp={thread} onClose={closeSide} onProblem={setProblem} />
      )}
    </>
  )
}

interface ThreadProps {
  room: string
  title: string
  parentTimestamp: number
  onClose: () => void
  onProblem: (problem: string) => void
}

function Thread({ room, title, parentTimestamp, onClose, onProblem }: ThreadProps) {
  const { client } = useChat()
  const [editing, setEditing] = useState<string | null>(null)
  const parent = useChatState((state) => state.timelines[room]?.messages.find((message) => message.timestamp === parentTimestamp))
  const id = timelineKey(room, `${room}-${parentTimestamp}`)
  const editLast = () => {
    const { me, timelines } = client.store.state()
    const mine = timelines[id]?.messages.findLast((message) => message.user === me.username && message.delivery === 'sent' && !message.deleted)
    if (mine) setEditing(mine.key)
  }
  return (
    <ThreadPanel room={room} title={title} parentTimestamp={parentTimestamp} onClose={onClose}>
      <Timeline
        id={id}
        label="Replies"
        beginning={<ThreadBeginning parent={parent} />}
        tracksReading={false}
        onOlder={() => undefined}
        onRetryLoad={() => void client.history.openThread(room, parentTimestamp)}
        onOpenThread={null}
        onProblem={onProblem}
        editing={editing}
        onEditing={setEditing}
      />
      <Composer room={room} parentTimestamp={parentTimestamp} placeholder="Reply" autoFocus onEditLast={editLast} />
    </ThreadPanel>
  )
}
