import { useEffect, useMemo, useState } from 'react'
import { useChat, useChatState } from '../../client/context'
import { forYou, roomTitle, sections } from '../../store/selectors'
import type { Room } from '../../store/state'
import type { Person } from '../../wire/types'

const DEBOUNCE_MS = 200

/** People the server finds for `query`, without oneself. */
export function usePeople(query: string): { people: Person[]; searching: boolean; problem: boolean } {
  const { client } = useChat()
  const me = useChatState((state) => state.me.username)
  const wanted = query.trim()
  const [answer, setAnswer] = useState<{ query: string; people: Person[] | null }>({ query: '', people: [] })

  useEffect(() => {
    if (wanted === '') return
    let current = true
    const timer = setTimeout(() => {
      client.directory.search(wanted).then(
        (people) => current && setAnswer({ query: wanted, people }),
        () => current && setAnswer({ query: wanted, people: null }),
      )
    }, DEBOUNCE_MS)
    return () => {
      current = false
      clearTimeout(timer)
    }
  }, [client, wanted])

  const people = wanted === '' ? [] : (answer.people ?? []).filter((person) => person.username !== me)
  return { people, searching: wanted !== '' && answer.query !== wanted, problem: wanted !== '' && answer.people === null }
}

/** Rooms whose name has the query in it, those that want attention first. */
export function useRooms(query: string): Room[] {
  const rooms = useChatState((state) => state.rooms)
  return useMemo(() => {
    const wanted = query.trim().toLowerCase().replace(/^[#@]/, '')
    const { rooms: named, direct } = sections(rooms)
    return [...named, ...direct]
      .filter((room) => `${roomTitle(room)} ${room.name}`.toLowerCase().includes(wanted))
      .sort((a, b) => rank(b) - rank(a))
  }, [rooms, query])
}

const rank = (room: Room): number => (forYou(room) > 0 ? 2 : room.unread > 0 ? 1 : 0)
