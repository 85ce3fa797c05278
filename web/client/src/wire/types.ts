/** What the server says and hears, as the client sees it after checking. */

export type RoomKind = 'public' | 'private' | 'dm'
export type RoomRole = 'owner' | 'admin' | 'member'
export type Presence = 'online' | 'away' | 'busy' | 'offline'

export interface Person {
  username: string
  displayName: string
}

export interface Me extends Person {
  roles: string[]
}

/** One line of `room.mine`. */
export interface RoomSummary {
  name: string
  displayName: string
  kind: RoomKind
  role: RoomRole | null
  unread: number
  mentions: number
  lastReadSeq: number
  lastSeq: number
  lastActivity: number | null
  /** The other person of a direct message. */
  other: Person | null
}

export interface RoomMember {
  username: string
  role: RoomRole
}

export type MessageAction = 'message' | 'edit' | 'delete' | 'react' | 'system'

/** A message from `msg.get` or `chat.history`. */
export interface WireMessage {
  id: string | null
  seq: number | null
  clientId: string | null
  action: MessageAction
  room: string
  user: string
  text: string
  timestamp: number
  threadId: string | null
  parentTimestamp: number | null
  broadcast: boolean
  replyCount: number
  deleted: boolean
  editedAt: number | null
  reactions: Record<string, string[]>
  mentions: string[]
  emoji: string | null
  targetUser: string | null
}

/** `room.notify.{room}` and `deliver.{me}.notify.{room}`: never carries text. */
export interface Notification {
  notifyId: string
  room: string
  action: MessageAction
  user: string
  timestamp: number
  seq: number | null
  clientId: string | null
  threadId: string | null
  emoji: string | null
  targetUser: string | null
}

export interface HistoryPage {
  messages: WireMessage[]
  hasMore: boolean
}

export interface SendReceipt {
  id: string | null
  seq: number | null
  timestamp: number | null
}

export interface RoomChange {
  room: string
  action: 'join' | 'leave'
  username: string
}

export interface PresenceChange {
  username: string
  status: Presence
}
