import { Search } from 'lucide-react'
import { type KeyboardEvent, type ReactNode, useId, useState } from 'react'
import { forYou, roomTitle } from '../../store/selectors'
import type { Room } from '../../store/state'
import { Badge } from '../../ui/Badge'
import { classes } from '../../ui/classes'
import { Dialog } from '../../ui/Dialog'
import { Face } from '../../ui/Face'
import type { Person } from '../../wire/types'
import { RoomSign } from './RoomRow'
import styles from './Switcher.module.css'
import { usePeople, useRooms } from './useFind'

interface SwitcherProps {
  title: string
  placeholder: string
  /** `people` leaves the rooms out: for starting a direct message or inviting. */
  among: 'all' | 'people'
  without?: string[]
  onRoom: (room: Room) => void
  onPerson: (person: Person) => void
  onClose: () => void
}

interface Choice {
  key: string
  content: ReactNode
  choose: () => void
}

const SHOWN_MAX = 12

/** One box to find a room or a person: type, arrows, Enter. */
export function Switcher({ title, placeholder, among, without = [], onRoom, onPerson, onClose }: SwitcherProps) {
  const [query, setQuery] = useState('')
  const [at, setAt] = useState(0)
  const listId = useId()
  const rooms = useRooms(query)
  const { people, searching, problem } = usePeople(query)
  const shownRooms = among === 'all' ? rooms : []
  const direct = new Set(shownRooms.flatMap((room) => room.other?.username ?? []))

  const choices: Choice[] = [
    ...shownRooms.map((room) => ({ key: room.name, content: <RoomChoice room={room} />, choose: () => onRoom(room) })),
    ...people
      .filter(({ username }) => !direct.has(username) && !without.includes(username))
      .map((person) => ({ key: `@${person.username}`, content: <PersonChoice person={person} />, choose: () => onPerson(person) })),
  ].slice(0, SHOWN_MAX)
  const chosen = choices[Math.min(at, choices.length - 1)]

  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step !== undefined && choices.length > 0) {
      event.preventDefault()
      setAt((Math.min(at, choices.length - 1) + step + choices.length) % choices.length)
    } else if (event.key === 'Enter' && !event.nativeEvent.isComposing) {
      event.preventDefault()
      chosen?.choose()
    }
  }

  return (
    <Dialog title={title} look="bare" onClose={onClose}>
      <div className={styles.field}>
        <Search size={18} strokeWidth={1.75} aria-hidden="true" />
        <input
          autoFocus
          value={query}
          placeholder={placeholder}
          aria-label={placeholder}
          role="combobox"
          aria-expanded={choices.length > 0}
          aria-controls={listId}
          aria-activedescendant={chosen ? `${listId}-${chosen.key}` : undefined}
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => {
            setQuery(event.target.value)
            setAt(0)
          }}
          onKeyDown={onKeyDown}
        />
      </div>
      <ul id={listId} role="listbox" aria-label={title} className={styles.list}>
        {choices.map((choice) => (
          <li
            key={choice.key}
            id={`${listId}-${choice.key}`}
            role="option"
            aria-selected={choice === chosen}
            className={classes(styles.choice, choice === chosen && styles.chosen)}
            onClick={choice.choose}
          >
            {choice.content}
          </li>
        ))}
      </ul>
      {choices.length === 0 && <p className={styles.note} role="status">{noteFor(query, searching, problem, among)}</p>}
    </Dialog>
  )
}

function noteFor(query: string, searching: boolean, problem: boolean, among: 'all' | 'people'): string {
  if (searching) return 'Looking…'
  if (problem) return 'People can not be looked up right now. Try again in a moment.'
  if (query.trim() === '') return 'Type a name.'
  return among === 'all' ? 'No room or person has this name.' : 'Nobody has this name.'
}

function RoomChoice({ room }: { room: Room }) {
  return (
    <>
      <RoomSign room={room} />
      <span className={styles.name}>{roomTitle(room)}</span>
      <Badge unread={room.unread} mentions={forYou(room)} />
    </>
  )
}

function PersonChoice({ person }: { person: Person }) {
  return (
    <>
      <Face id={person.username} name={person.displayName} size="small" />
      <span className={styles.name}>{person.displayName}</span>
      <span className={styles.username}>@{person.username}</span>
    </>
  )
}
