/**
 * The one place where data from the wire is checked.
 *
 * A field of the wrong type is treated as absent, so that one odd message never takes the page down.
 */
import type {
  HistoryPage, Me, MessageAction, Notification, Person, Presence, PresenceChange, RoomChange, RoomKind, RoomMember,
  RoomRole, RoomSummary, SendReceipt, WireMessage,
} from './types'

type Fields = Record<string, unknown>

export const SYSTEM_USER = '__system__'

/** A refusal by the server: `code` for the program, `message` for the person. */
export class Refused extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly retryAfterMs: number | null = null,
  ) {
    super(message)
    this.name = 'Refused'
  }
}

export function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {}
}

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])
const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const textOrNull = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null)
const texts = (value: unknown): string[] => list(value).filter((item): item is string => typeof item === 'string')
const count = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : 0)
const countOrNull = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : null

function oneOf<T extends string>(value: unknown, allowed: readonly T[], otherwise: T): T {
  return allowed.find((item) => item === value) ?? otherwise
}

const KINDS: readonly RoomKind[] = ['public', 'private', 'dm']
const ROLES: readonly RoomRole[] = ['owner', 'admin', 'member']
const PRESENCES: readonly Presence[] = ['online', 'away', 'busy', 'offline']
const ACTIONS: readonly MessageAction[] = ['message', 'edit', 'delete', 'react', 'system']

/** Throws `Refused` if the reply is an error, else hands it on. */
export function accepted(reply: unknown): unknown {
  const { error, code, message, retryAfterMs } = fields(reply)
  if (typeof error !== 'string') return reply
  throw new Refused(text(code) || error, text(message) || error, countOrNull(retryAfterMs))
}

function decodePerson(value: unknown): Person {
  const { username, displayName } = fields(value)
  return { username: text(username), displayName: text(displayName) || text(username) }
}

export function decodeMine(value: unknown): { me: Me; rooms: RoomSummary[] } {
  const { me, rooms } = fields(value)
  return {
    me: { ...decodePerson(me), roles: texts(fields(me).roles) },
    rooms: list(rooms).map(decodeRoom).filter((room) => room.name !== ''),
  }
}

function decodeRoom(value: unknown): RoomSummary {
  const room = fields(value)
  return {
    name: text(room.name),
    displayName: text(room.displayName) || text(room.name),
    kind: oneOf(room.type, KINDS, 'public'),
    role: room.role === undefined || room.role === null ? null : oneOf(room.role, ROLES, 'member'),
    unread: count(room.unread),
    mentions: count(room.mentions),
    lastReadSeq: count(room.lastReadSeq),
    lastSeq: count(room.lastSeq),
    lastActivity: countOrNull(room.lastActivity),
    other: room.other ? decodePerson(room.other) : null,
  }
}

export function decodeMessage(value: unknown, room: string): WireMessage {
  const message = fields(value)
  const user = text(message.user)
  return {
    id: textOrNull(message.id),
    seq: countOrNull(message.seq),
    clientId: textOrNull(message.clientId),
    action: user === SYSTEM_USER ? 'system' : oneOf(message.action, ACTIONS, 'message'),
    room,
    user,
    text: text(message.text),
    timestamp: count(message.timestamp),
    threadId: textOrNull(message.threadId),
    parentTimestamp: countOrNull(message.parentTimestamp),
    broadcast: message.broadcast === true,
    replyCount: count(message.replyCount),
    deleted: message.isDeleted === true,
    editedAt: countOrNull(message.editedAt),
    reactions: decodeReactions(message.reactions),
    mentions: texts(message.mentions),
    emoji: textOrNull(message.emoji),
    targetUser: textOrNull(message.targetUser),
  }
}

function decodeReactions(value: unknown): Record<string, string[]> {
  const reactions: Record<string, string[]> = {}
  for (const [emoji, users] of Object.entries(fields(value))) {
    const names = texts(users)
    if (names.length > 0) reactions[emoji] = names
  }
  return reactions
}

export function decodeHistory(value: unknown, room: string): HistoryPage {
  const { messages, hasMore } = fields(value)
  return { messages: list(messages).map((message) => decodeMessage(message, room)), hasMore: hasMore === true }
}

export function decodeNotification(value: unknown, room: string): Notification {
  const notification = fields(value)
  return {
    notifyId: text(notification.notifyId),
    room,
    action: oneOf(notification.action, ACTIONS, 'message'),
    user: text(notification.user),
    timestamp: count(notification.timestamp),
    seq: countOrNull(notification.seq),
    clientId: textOrNull(notification.clientId),
    threadId: textOrNull(notification.threadId),
    emoji: textOrNull(notification.emoji),
    targetUser: textOrNull(notification.targetUser),
  }
}

export function decodeReceipt(value: unknown): SendReceipt {
  const receipt = fields(value)
  return { id: textOrNull(receipt.id), seq: countOrNull(receipt.seq), timestamp: countOrNull(receipt.timestamp) }
}

export function decodeMembers(value: unknown): RoomMember[] {
  return list(fields(value).members)
    .map((member) => ({ username: text(fields(member).username), role: oneOf(fields(member).role, ROLES, 'member') }))
    .filter((member) => member.username !== '')
}

export function decodePresenceList(value: unknown): PresenceChange[] {
  return list(value)
    .map((entry) => ({ username: text(fields(entry).userId), status: oneOf(fields(entry).status, PRESENCES, 'online') }))
    .filter((entry) => entry.username !== '')
}

export function decodePresenceChange(value: unknown): PresenceChange {
  const { action, userId, status } = fields(value)
  return {
    username: text(userId),
    status: action === 'offline' ? 'offline' : oneOf(status, PRESENCES, 'online'),
  }
}

export function decodeRoomChange(value: unknown, room: string): RoomChange {
  const { action, userId } = fields(value)
  return { room, action: action === 'leave' || action === 'kick' ? 'leave' : 'join', username: text(userId) }
}

/** Replies of `users.get` and `users.search`; the old search reply has first and last names instead. */
export function decodePeople(value: unknown): Person[] {
  return list(value)
    .map((entry) => {
      const person = fields(entry)
      const full = [text(person.firstName), text(person.lastName)].filter(Boolean).join(' ')
      return { username: text(person.username), displayName: text(person.displayName) || full || text(person.username) }
    })
    .filter((person) => person.username !== '')
}
