import { useEffect, useState } from 'react'
import { useChat, useChatState } from '../../client/context'
import type { Person } from '../../wire/types'

const DEBOUNCE_MS = 150
const SHOWN_MAX = 6

/** People for the name being typed: those known here at once, then whom the server finds. */
export function useMentions(query: string | null): Person[] {
  const { client } = useChat()
  const people = useChatState((state) => state.people)
  const me = useChatState((state) => state.me.username)
  const [found, setFound] = useState<Person[]>([])

  useEffect(() => {
    setFound([])
    if (query === null || query === '') return
    let wanted = true
    const timer = setTimeout(() => {
      client.directory.search(query).then((list) => wanted && setFound(list), () => undefined)
    }, DEBOUNCE_MS)
    return () => {
      wanted = false
      clearTimeout(timer)
    }
  }, [client, query])

  if (query === null) return []
  const lower = query.toLowerCase()
  const known = Object.entries(people)
    .map(([username, displayName]) => ({ username, displayName }))
    .filter(({ username, displayName }) => matches(username, lower) || displayName.toLowerCase().split(' ').some((word) => matches(word, lower)))
  const all = [...known, ...found.filter((person) => !known.some(({ username }) => username === person.username))]
  const rank = ({ username }: Person) => (matches(username, lower) ? 0 : 1)
  return all
    .filter(({ username }) => username !== me)
    .sort((a, b) => rank(a) - rank(b) || a.username.localeCompare(b.username))
    .slice(0, SHOWN_MAX)
}

const matches = (text: string, start: string): boolean => text.toLowerCase().startsWith(start)
