/** Everything the page knows. Components read it through `selectors.ts`; only `apply.ts` changes it. */
import type { MessageAction, Person, Presence, RoomKind, RoomMember, RoomRole } from '../wire/types'

/** How far a message has come: `waiting` goes out by itself, `failed` wants a decision. */
export type Delivery = 'sent' | 'sending' | 'waiting' | 'failed'

export interface Message {
  /** Stable for the life of the page, also when a pending message becomes a stored one. */
  key: string
  id: string | null
  /** Place in the room's order; null until the server has stored the message. */
  seq: number | null
  clientId: string | null
  room: string
  user: string
  text: string
  timestamp: number
  threadId: string | null
  replyCount: number
  system: boolean
  deleted: boolean
  editedAt: number | null
  reactions: Record<string, string[]>
  mentions: string[]
  delivery: Delivery
  /** Why a message waits or failed, in words for its author. */
  problem: string | null
}

export interface Room {
  name: string
  displayName: string
  kind: RoomKind
  role: RoomRole | null
  unread: number
  mentions: number
  lastReadSeq: number
  lastSeq: number
  lastActivity: number | null
  other: Person | null
}

export interface Timeline {
  phase: 'empty' | 'loading' | 'ready' | 'failed'
  /** Stored messages by `seq`, then pending ones in the order they were written. */
  messages: Message[]
  hasMore: boolean
  loadingOlder: boolean
  /** The "New" line stands above the first message of others after this sequence. */
  newAfter: number | null
}

export type ConnectionPhase = 'connecting' | 'online' | 'reconnecting'

export interface ChatState {
  connection: ConnectionPhase
  /** Whether the page has ever been connected; decides between a skeleton and a banner. */
  started: boolean
  me: { username: string; displayName: string; roles: string[] }
  status: Presence
  rooms: Record<string, Room>
  timelines: Record<string, Timeline>
  members: Record<string, RoomMember[]>
  /** Who has the room open or joined, for public rooms: from `presence.room`. */
  present: Record<string, string[]>
  presence: Record<string, Presence>
  people: Record<string, string>
  /** The room on screen and whether its newest message is being looked at. */
  view: { room: string | null; reading: boolean }
}

export const TIMELINE_MESSAGES_MAX = 600

export const EMPTY_TIMELINE: Timeline = {
  phase: 'empty',
  messages: [],
  hasMore: false,
  loadingOlder: false,
  newAfter: null,
}

export function initialState(username: string): ChatState {
  return {
    connection: 'connecting',
    started: false,
    me: { username, displayName: username, roles: [] },
    status: 'online',
    rooms: {},
    timelines: {},
    members: {},
    present: {},
    presence: {},
    people: {},
    view: { room: null, reading: false },
  }
}

/** Key of a timeline: a room's own, or that of one of its threads. */
export function timelineKey(room: string, threadId: string | null): string {
  return threadId === null ? room : `thread:${threadId}`
}

export function isNewMessage(action: MessageAction): boolean {
  return action === 'message' || action === 'system'
}
