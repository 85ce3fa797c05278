/** Dates the way people say them, and which messages belong together. */
import type { Message } from '../../store/state'

const GROUP_MS = 5 * 60_000

const TIME = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const DAY = new Intl.DateTimeFormat('en-GB', { weekday: 'long', day: 'numeric', month: 'long' })
const DAY_AND_YEAR = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'long', year: 'numeric' })
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' })

export const timeOf = (ms: number): string => TIME.format(ms)
export const exactTimeOf = (ms: number): string => EXACT.format(ms)

export function dayOf(ms: number, now: number): string {
  const days = Math.round((startOfDay(now) - startOfDay(ms)) / 86_400_000)
  if (days === 0) return 'Today'
  if (days === 1) return 'Yesterday'
  const sameYear = new Date(ms).getFullYear() === new Date(now).getFullYear()
  return (sameYear ? DAY : DAY_AND_YEAR).format(ms)
}

function startOfDay(ms: number): number {
  return new Date(ms).setHours(0, 0, 0, 0)
}

export type Row =
  | { type: 'day'; key: string; label: string }
  | { type: 'new'; key: string }
  | { type: 'message'; key: string; message: Message; follows: boolean }

/** The lines of a timeline: messages, with day lines and the "New" line between them. */
export function rowsOf(messages: Message[], newAfter: number | null, me: string, now: number): Row[] {
  const rows: Row[] = []
  let newShown = newAfter === null
  let before: Message | undefined
  for (const message of messages) {
    const day = dayOf(message.timestamp, now)
    const newDay = !before || dayOf(before.timestamp, now) !== day
    if (newDay) rows.push({ type: 'day', key: `day-${startOfDay(message.timestamp)}-${message.key}`, label: day })
    const isNew = !newShown && message.seq !== null && message.seq > (newAfter ?? 0) && message.user !== me && !message.system
    if (isNew) rows.push({ type: 'new', key: 'new' })
    newShown ||= isNew
    const follows = !newDay && !isNew && before !== undefined && continues(before, message)
    rows.push({ type: 'message', key: message.key, message, follows })
    before = message
  }
  return rows
}

function continues(before: Message, message: Message): boolean {
  return !before.system && !message.system && before.user === message.user && message.timestamp - before.timestamp < GROUP_MS
}
