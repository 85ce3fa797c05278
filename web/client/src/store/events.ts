/** All that can happen to the state, exhaustive by `type`. */
import type {
  HistoryPage, Me, Notification, Person, Presence, PresenceChange, RoomChange, RoomMember, RoomSummary, SendReceipt,
  WireMessage,
} from '../wire/types'
import type { ConnectionPhase, Message } from './state'

export type ChatEvent =
  | { type: 'connection.changed'; phase: ConnectionPhase }
  | { type: 'rooms.loaded'; me: Me; rooms: RoomSummary[] }
  | { type: 'room.added'; room: RoomSummary }
  | { type: 'room.removed'; room: string }
  | { type: 'room.changed'; change: RoomChange }
  | { type: 'members.loaded'; room: string; members: RoomMember[] }
  | { type: 'presence.loaded'; room: string; people: PresenceChange[] }
  | { type: 'presence.changed'; room: string; change: PresenceChange }
  | { type: 'people.loaded'; people: Person[] }
  | { type: 'status.chosen'; status: Presence }
  | { type: 'history.loading'; timeline: string; older: boolean }
  | { type: 'history.failed'; timeline: string }
  | { type: 'history.newest'; timeline: string; page: HistoryPage }
  | { type: 'history.older'; timeline: string; page: HistoryPage }
  | { type: 'history.after'; timeline: string; page: HistoryPage }
  | { type: 'message.posted'; message: WireMessage }
  | { type: 'message.edited'; message: WireMessage }
  | { type: 'message.deleted'; room: string; threadId: string | null; user: string; timestamp: number }
  | { type: 'message.reacted'; notification: Notification }
  | { type: 'send.started'; message: Message }
  | { type: 'send.waiting'; timeline: string; clientId: string; problem: string }
  | { type: 'send.resumed'; timeline: string; clientId: string }
  | { type: 'send.failed'; timeline: string; clientId: string; problem: string }
  | { type: 'send.settled'; timeline: string; clientId: string; receipt: SendReceipt }
  | { type: 'send.discarded'; timeline: string; clientId: string }
  | { type: 'view.opened'; room: string | null }
  | { type: 'view.reading'; reading: boolean }
  | { type: 'room.read'; room: string; seq: number }
