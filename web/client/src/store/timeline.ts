/** A timeline's order and identity: how copies of one message find each other. */
import { SYSTEM_USER } from '../wire/decode'
import type { WireMessage } from '../wire/types'
import { type Message, TIMELINE_MESSAGES_MAX, type Timeline } from './state'

export function fromWire(message: WireMessage): Message {
  return {
    key: message.clientId ?? message.id ?? `${message.timestamp}-${message.user}`,
    id: message.id,
    seq: message.seq,
    clientId: message.clientId,
    room: message.room,
    user: message.user,
    text: message.deleted ? '' : message.text,
    timestamp: message.timestamp,
    threadId: message.threadId,
    replyCount: message.replyCount,
    system: message.action === 'system' || message.user === SYSTEM_USER,
    deleted: message.deleted,
    editedAt: message.editedAt,
    reactions: message.reactions,
    mentions: message.mentions,
    delivery: 'sent',
    problem: null,
  }
}

/** Stored messages come first, by sequence; pending ones stay at the end in the order they were written. */
export function byOrder(a: Message, b: Message): number {
  const aPending = a.delivery !== 'sent'
  const bPending = b.delivery !== 'sent'
  if (aPending !== bPending) return aPending ? 1 : -1
  if (a.seq !== null && b.seq !== null) return a.seq - b.seq
  return a.timestamp - b.timestamp
}

/** Two copies of one message share the client's id, the server's id, or (old clients) author and time. */
export function isSame(a: Message, b: Message): boolean {
  if (a.clientId !== null && b.clientId !== null) return a.clientId === b.clientId && a.user === b.user
  if (a.id !== null && b.id !== null) return a.id === b.id
  return a.timestamp === b.timestamp && a.user === b.user
}

/**
 * Puts messages into the timeline, replacing copies that are already there.
 *
 * A stored copy replaces a pending one and keeps its key, so the line on screen stays the same element.
 */
export function merge(messages: Message[], incoming: Message[]): Message[] {
  if (incoming.length === 0) return messages
  const merged = messages.slice()
  for (const message of incoming) {
    const index = merged.findLastIndex((known) => isSame(known, message))
    const known = merged[index]
    if (known) merged[index] = { ...message, key: known.key, mentions: message.mentions.length ? message.mentions : known.mentions }
    else merged.push(message)
  }
  return merged.sort(byOrder)
}

/** Forgets the oldest messages beyond the limit; scrolling up loads them again. */
export function bounded(timeline: Timeline): Timeline {
  const excess = timeline.messages.length - TIMELINE_MESSAGES_MAX
  if (excess <= 0) return timeline
  return { ...timeline, messages: timeline.messages.slice(excess), hasMore: true }
}

export function patch(messages: Message[], matches: (message: Message) => boolean, change: (message: Message) => Message): Message[] {
  const index = messages.findLastIndex(matches)
  const found = messages[index]
  if (!found) return messages
  const patched = messages.slice()
  patched[index] = change(found)
  return patched
}

export function toggled(reactions: Record<string, string[]>, emoji: string, user: string): Record<string, string[]> {
  const users = reactions[emoji] ?? []
  const next = users.includes(user) ? users.filter((name) => name !== user) : [...users, user]
  const { [emoji]: _, ...others } = reactions
  return next.length > 0 ? { ...reactions, [emoji]: next } : others
}
