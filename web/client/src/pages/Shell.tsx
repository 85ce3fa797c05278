import { useEffect, useState } from 'react'
import { useChat, useChatState } from '../client/context'
import { CreateRoom } from '../features/rooms/CreateRoom'
import { Sidebar } from '../features/rooms/Sidebar'
import { Switcher } from '../features/rooms/Switcher'
import { YouMenu, YouPage } from '../features/settings/You'
import { placeOf, roomPath } from '../store/paths'
import { navigate, usePath } from '../ui/router'
import { PHONE, useMediaQuery } from '../ui/useMediaQuery'
import type { Person } from '../wire/types'
import { Banner } from './Banner'
import { Missing } from './Missing'
import { PhoneBar } from './PhoneBar'
import { RoomPage } from './RoomPage'
import styles from './Shell.module.css'
import { useTitle } from './useTitle'

type Open = 'find' | 'create' | 'direct' | 'invite' | null

const LAST_ROOM = 'natterjack.room'

/** The signed-in page: sidebar, room, side panel; on a phone one of them at a time. */
export function Shell() {
  const { client } = useChat()
  const { page, room: roomName, thread } = placeOf(usePath())
  const phone = useMediaQuery(PHONE)
  const room = useChatState((state) => (roomName === null ? undefined : state.rooms[roomName]))
  const started = useChatState((state) => state.started)
  const members = useChatState((state) => (roomName === null ? undefined : state.members[roomName]))
  const [open, setOpen] = useState<Open>(null)
  const close = () => setOpen(null)
  useTitle(room)

  useEffect(() => {
    const shortcut = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k' && !event.shiftKey && !event.altKey) {
        event.preventDefault()
        setOpen('find')
      }
    }
    window.addEventListener('keydown', shortcut)
    return () => window.removeEventListener('keydown', shortcut)
  }, [])

  // A wide page always shows a room: the last one, or the first there is.
  useEffect(() => {
    if (room) sessionStorage.setItem(LAST_ROOM, room.name)
    if (phone || !started || page === 'room') return
    const { rooms } = client.store.state()
    const last = sessionStorage.getItem(LAST_ROOM)
    const first = last !== null && rooms[last] ? last : (rooms.general?.name ?? Object.keys(rooms)[0])
    if (first) navigate(roomPath(first), 'replace')
  }, [client, phone, started, page, room])

  const goTo = (name: string) => {
    close()
    navigate(roomPath(name))
  }
  const writeTo = (person: Person) => void client.startDirect(person).then(goTo, () => undefined)

  const sidebar = (
    <Sidebar
      current={roomName}
      you={phone ? null : <YouMenu />}
      onFind={() => setOpen('find')}
      onCreateRoom={() => setOpen('create')}
      onStartDirect={() => setOpen('direct')}
    />
  )
  const content = page === 'you' && phone
    ? <YouPage />
    : room
      ? <RoomPage room={room} thread={thread} onInvite={() => setOpen('invite')} />
      : page === 'room' && started
        ? <Missing onRooms={() => navigate('/')} />
        : <main className={styles.main} aria-busy="true" />

  return (
    <div className={styles.shell} data-page={page}>
      <Banner />
      {phone ? (page === 'rooms' ? sidebar : content) : <>{sidebar}{content}</>}
      {phone && <PhoneBar page={page} onFind={() => setOpen('find')} />}
      {open === 'find' && <Switcher title="Find a room or person" placeholder="Find a room or person" among="all" onRoom={(found) => goTo(found.name)} onPerson={writeTo} onClose={close} />}
      {open === 'direct' && <Switcher title="Start a direct message" placeholder="Who do you want to write to?" among="people" onRoom={() => undefined} onPerson={writeTo} onClose={close} />}
      {open === 'create' && <CreateRoom onCreated={goTo} onClose={close} />}
      {open === 'invite' && room && (
        <Switcher
          title={`Invite somebody to ${room.displayName}`}
          placeholder={`Who should join ${room.displayName}?`}
          among="people"
          without={members?.map((member) => member.username) ?? []}
          onRoom={() => undefined}
          onPerson={(person) => void client.invite(room.name, person.username).then(close, close)}
          onClose={close}
        />
      )}
    </div>
  )
}
