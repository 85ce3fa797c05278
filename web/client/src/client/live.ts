/**
 * What others do, as it happens: notifications, presence, membership.
 *
 * A notification carries no text, so each one is followed by a `msg.get`. The fetches of a room run at the same time, and
 * their answers are applied in the order of the notifications.
 */
import type { ChatStore } from '../store/store'
import { decodeHistory, decodeMessage, decodeNotification, decodePresenceChange, decodeRoomChange } from '../wire/decode'
import type { Notification, WireMessage } from '../wire/types'
import type { Connection } from './connection'

const CONFIRM_MS = 2_000

export interface LiveHandlers {
  /** A room this page does not know yet has something to say. */
  onUnknownRoom: (room: string) => void
  /** Somebody came to or left a private room or direct message. */
  onMembership: (room: string) => void
}

export class Live {
  readonly #confirming = new Set<string>()
  readonly #order = new Map<string, Promise<void>>()

  constructor(
    private readonly connection: Connection,
    private readonly store: ChatStore,
    private readonly handlers: LiveHandlers,
  ) {}

  subscribe(me: string): void {
    this.connection.subscribe(`deliver.${me}.>`, (body, [, , kind, room]) => {
      if (room === undefined) return
      if (kind === 'notify') this.#notified(decodeNotification(body, room))
      if (kind === 'presence') this.store.dispatch({ type: 'presence.changed', room, change: decodePresenceChange(body) })
      if (kind === 'changed') this.#changed(body, room)
    })
    this.connection.subscribe('room.notify.*', (body, [, , room]) => {
      if (room !== undefined) this.#notified(decodeNotification(body, room))
    })
    this.connection.subscribe('room.presence.*', (body, [, , room]) => {
      if (room !== undefined) this.store.dispatch({ type: 'presence.changed', room, change: decodePresenceChange(body) })
    })
    this.connection.subscribe('room.changed.*', (body, [, , room]) => {
      if (room !== undefined) this.store.dispatch({ type: 'room.changed', change: decodeRoomChange(body, room) })
    })
  }

  #changed(body: unknown, room: string): void {
    this.store.dispatch({ type: 'room.changed', change: decodeRoomChange(body, room) })
    this.handlers.onMembership(room)
  }

  #notified(notification: Notification): void {
    const { room } = notification
    if (!this.store.state().rooms[room]) return this.handlers.onUnknownRoom(room)
    const fetched = needsBody(notification) ? this.#fetch(notification) : Promise.resolve(null)
    const before = this.#order.get(room) ?? Promise.resolve()
    const applied = before.then(async () => this.#apply(notification, await fetched)).catch((cause: unknown) => {
      console.warn('lost an event of', room, cause)
    })
    this.#order.set(room, applied)
  }

  async #fetch(notification: Notification): Promise<WireMessage | null> {
    const { notifyId, room, threadId } = notification
    try {
      const message = decodeMessage(await this.connection.request('msg.get', { notifyId, room }), room)
      return {
        ...message,
        id: message.id,
        seq: message.seq ?? notification.seq,
        clientId: message.clientId ?? notification.clientId,
        threadId: message.threadId ?? threadId,
        timestamp: message.timestamp || notification.timestamp,
      }
    } catch {
      return this.#fromHistory(notification)
    }
  }

  /** The way back when a notification's body is gone: the room's history holds the same message. */
  async #fromHistory({ room, seq, threadId, action }: Notification): Promise<WireMessage | null> {
    if (seq === null || threadId !== null || action === 'edit') return null
    try {
      const page = decodeHistory(await this.connection.request(`chat.history.${room}`, { afterSeq: seq - 1, limit: 1 }), room)
      return page.messages.find((message) => message.seq === seq) ?? null
    } catch {
      return null
    }
  }

  /**
   * A reaction is a toggle, so one that crosses with a page of history could end up the wrong way round. A moment later
   * the visible room asks for the message itself.
   */
  #confirmLater({ room, threadId, timestamp, targetUser }: Notification): void {
    const { view, timelines } = this.store.state()
    const target = timelines[room]?.messages.find((message) => message.timestamp === timestamp && message.user === targetUser)
    if (view.room !== room || threadId !== null || !target || target.seq === null || this.#confirming.has(target.key)) return
    const { key, seq } = target
    this.#confirming.add(key)
    setTimeout(() => {
      this.#confirming.delete(key)
      this.connection.request(`chat.history.${room}`, { afterSeq: seq - 1, limit: 1 }).then(
        (reply) => {
          const { messages } = decodeHistory(reply, room)
          const same = messages.filter((message) => message.seq === seq)
          this.store.dispatch({ type: 'history.after', timeline: room, page: { messages: same, hasMore: false } })
        },
        () => undefined,
      )
    }, CONFIRM_MS)
  }

  #apply(notification: Notification, body: WireMessage | null): void {
    const { room, threadId, user, timestamp } = notification
    switch (notification.action) {
      case 'delete':
        return this.store.dispatch({ type: 'message.deleted', room, threadId, user, timestamp })
      case 'react':
        this.store.dispatch({ type: 'message.reacted', notification })
        return this.#confirmLater(notification)
      case 'edit':
        if (body) this.store.dispatch({ type: 'message.edited', message: { ...body, timestamp, user, threadId } })
        return
      default:
        if (body) this.store.dispatch({ type: 'message.posted', message: body })
    }
  }
}

function needsBody({ action }: Notification): boolean {
  return action !== 'delete' && action !== 'react'
}
