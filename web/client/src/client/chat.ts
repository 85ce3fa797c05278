/** The client as the components know it: intents go in here, events come back through the store. */
import { type ChatStore, createChatStore } from '../store/store'
import type { Message } from '../store/state'
import { decodeMembers, decodeMine, Refused } from '../wire/decode'
import type { Person, Presence } from '../wire/types'
import { Connection } from './connection'
import { Directory } from './directory'
import { History } from './history'
import { Live } from './live'
import { Outbox } from './outbox'
import { PresenceBeat } from './presence'
import type { Session } from './session'

const SYNC_RETRY_MS = 1_000
const READ_DEBOUNCE_MS = 1_000

export interface Draft {
  room: string
  text: string
  /** The message this one replies to in a thread. */
  parentTimestamp: number | null
}

export class ChatClient {
  readonly store: ChatStore
  readonly history: History
  readonly directory: Directory
  readonly presence: PresenceBeat
  readonly outbox: Outbox
  readonly #connection: Connection
  readonly #live: Live
  #joined = false
  #lastTimestamp = 0
  readonly #unreported = new Map<string, { room: string; userId: string; seq: number; timestamp: number; lastRead: number }>()
  #readTimer: ReturnType<typeof setTimeout> | undefined

  constructor(session: Session, url: string) {
    this.store = createChatStore(session.username)
    this.#connection = new Connection({
      url,
      name: session.username,
      token: () => session.accessToken(),
      ensureFresh: () => session.ensureFresh(),
      onUp: () => void this.#sync(),
      onDown: () => this.#down(),
    })
    this.history = new History(this.#connection, this.store)
    this.directory = new Directory(this.#connection, this.store)
    this.presence = new PresenceBeat(this.#connection, this.store)
    this.outbox = new Outbox(this.#connection, this.store, () => this.#joined)
    this.#live = new Live(this.#connection, this.store, {
      onUnknownRoom: () => void this.refreshRooms(),
      onMembership: (room) => void this.#membershipChanged(room),
    })
  }

  start(): void {
    void this.#connection.open(() => this.#live.subscribe(this.#me))
    window.addEventListener('online', () => this.#connection.hurry())
    window.addEventListener('pagehide', () => {
      this.#reportRead()
      this.presence.leave()
    })
    window.addEventListener('beforeunload', (event) => {
      // What has not gone out yet lives in this page only.
      if (this.outbox.waiting > 0) event.preventDefault()
    })
    window.addEventListener('pageshow', (event) => {
      if (event.persisted) this.presence.start()
    })
  }

  async stop(): Promise<void> {
    this.presence.leave()
    await this.#connection.close()
  }

  get #me(): string {
    return this.store.state().me.username
  }

  #down(): void {
    this.#joined = false
    this.presence.stop()
    this.store.dispatch({ type: 'connection.changed', phase: 'reconnecting' })
    this.outbox.flush()
  }

  /** After every connect: the room list, joining, what was missed, and what has been waiting to go out. */
  async #sync(): Promise<void> {
    try {
      await this.refreshRooms()
      this.#joined = true
      // After joining: news of who is here go to the rooms that somebody is in.
      this.presence.start()
      this.store.dispatch({ type: 'connection.changed', phase: 'online' })
      this.outbox.flush()
      this.#reportRead()
      this.directory.reset()
      await this.history.catchUp()
      await this.#loadPresence()
    } catch {
      // The services may still be starting behind the broker.
      setTimeout(() => this.#connection.isUp && void this.#sync(), SYNC_RETRY_MS)
    }
  }

  async refreshRooms(): Promise<void> {
    const { me, rooms } = decodeMine(await this.#connection.request('room.mine', {}))
    await Promise.all(rooms.map((room) => this.#join(room.name)))
    for (const { name, kind } of Object.values(this.store.state().rooms)) {
      if (kind !== 'dm' && !rooms.some((room) => room.name === name)) this.store.dispatch({ type: 'room.removed', room: name })
    }
    this.store.dispatch({ type: 'rooms.loaded', me, rooms })
  }

  async #join(room: string): Promise<void> {
    try {
      await this.#connection.request(`room.join.${room}`, { userId: this.#me })
    } catch (error) {
      if (!(error instanceof Refused)) throw error
    }
  }

  async #loadPresence(): Promise<void> {
    const { rooms, view } = this.store.state()
    const wanted = Object.values(rooms).filter((room) => room.kind === 'dm' || room.name === 'general' || room.name === view.room)
    await Promise.all(wanted.map((room) => this.presence.load(room.name)))
  }

  async #membershipChanged(room: string): Promise<void> {
    await this.refreshRooms().catch(() => undefined)
    if (this.store.state().members[room]) await this.loadMembers(room)
  }

  /** Makes `room` the visible one and loads what it needs. */
  openRoom(room: string | null): void {
    this.store.dispatch({ type: 'view.opened', room })
    if (room === null || !this.store.state().rooms[room]) return
    void this.history.openRoom(room)
    void this.presence.load(room)
    if (this.store.state().rooms[room]?.kind === 'private') void this.loadMembers(room)
  }

  async loadMembers(room: string): Promise<void> {
    try {
      const info = await this.#connection.request(`room.info.${room}`, { user: this.#me })
      this.store.dispatch({ type: 'members.loaded', room, members: decodeMembers(info) })
    } catch {
      // The list stays as it was.
    }
  }

  /** Tells whether the newest message of the visible room is being looked at. */
  reading(reading: boolean): void {
    const { view } = this.store.state()
    if (view.reading !== reading) this.store.dispatch({ type: 'view.reading', reading })
    if (reading) this.#markRead()
  }

  /** On screen at once; told to the server a moment later, together with what arrives until then. */
  #markRead(): void {
    const { view, rooms, timelines } = this.store.state()
    const room = view.room === null ? undefined : rooms[view.room]
    if (!room) return
    const newest = timelines[room.name]?.messages.findLast((message) => message.seq !== null)
    const seq = Math.max(room.lastSeq, newest?.seq ?? 0)
    if (seq <= room.lastReadSeq && room.unread === 0) return
    this.store.dispatch({ type: 'room.read', room: room.name, seq })
    const timestamp = newest?.timestamp ?? room.lastActivity ?? 0
    this.#unreported.set(room.name, { room: room.name, userId: this.#me, seq, timestamp, lastRead: timestamp })
    this.#readTimer ??= setTimeout(() => this.#reportRead(), READ_DEBOUNCE_MS)
  }

  #reportRead(): void {
    clearTimeout(this.#readTimer)
    this.#readTimer = undefined
    if (!this.#connection.isUp) return
    for (const [room, body] of this.#unreported) this.#connection.publish(`read.update.${room}`, body)
    this.#unreported.clear()
  }

  send({ room, text, parentTimestamp }: Draft): void {
    const clientId = crypto.randomUUID()
    const timestamp = this.#now()
    const threadId = parentTimestamp === null ? null : `${room}-${parentTimestamp}`
    const mentions = mentionsIn(text)
    const message: Message = {
      key: clientId, id: null, seq: null, clientId, room, user: this.#me, text, timestamp, threadId, replyCount: 0, system: false,
      deleted: false, editedAt: null, reactions: {}, mentions, delivery: 'sending', problem: null,
    }
    const thread = threadId === null ? {} : { threadId, parentTimestamp }
    const body = { user: this.#me, text, timestamp, room, clientId, ...(mentions.length > 0 && { mentions }), ...thread }
    this.outbox.send(message, body, this.#sendSubject(room, threadId))
  }

  async edit(message: Message, text: string): Promise<void> {
    const { room, threadId, timestamp } = message
    const base = { user: this.#me, text, action: 'edit', clientId: crypto.randomUUID() }
    const body = threadId === null
      ? { ...base, timestamp: this.#now(), editTimestamp: timestamp, editUser: this.#me }
      : { ...base, timestamp, room, threadId }
    await this.#connection.request(this.#sendSubject(room, threadId), body)
  }

  async remove(message: Message): Promise<void> {
    const { room, threadId, timestamp } = message
    const base = { user: this.#me, text: '', action: 'delete', clientId: crypto.randomUUID() }
    const body = threadId === null
      ? { ...base, timestamp: this.#now(), deleteTimestamp: timestamp, deleteUser: this.#me }
      : { ...base, timestamp, room, threadId }
    await this.#connection.request(this.#sendSubject(room, threadId), body)
  }

  async react(message: Message, emoji: string): Promise<void> {
    const { room, threadId, timestamp, user } = message
    const base = { user: this.#me, timestamp: this.#now(), action: 'react', emoji, reactTimestamp: timestamp, reactUser: user }
    const thread = threadId === null ? {} : { text: '', room, threadId }
    await this.#connection.request(this.#sendSubject(room, threadId), { ...base, ...thread, clientId: crypto.randomUUID() })
  }

  async createRoom(name: string, title: string): Promise<void> {
    await this.#connection.request('room.create', { name, displayName: title || name, user: this.#me })
    await this.refreshRooms()
  }

  async invite(room: string, target: string): Promise<void> {
    await this.#connection.request(`room.invite.${room}`, { user: this.#me, target })
    await this.loadMembers(room)
  }

  async removeMember(room: string, target: string): Promise<void> {
    await this.#connection.request(`room.kick.${room}`, { user: this.#me, target })
    await this.loadMembers(room)
  }

  async leaveRoom(room: string): Promise<void> {
    await this.#connection.request(`room.depart.${room}`, { user: this.#me })
    this.store.dispatch({ type: 'room.removed', room })
  }

  /** Opens the direct message with somebody, and returns its room. */
  async startDirect(person: Person): Promise<string> {
    const room = directRoom(this.#me, person.username)
    if (this.store.state().rooms[room]) return room
    await this.#join(room)
    await this.refreshRooms()
    // Until somebody has written, the server may leave the conversation out of the list.
    if (!this.store.state().rooms[room]) {
      this.store.dispatch({
        type: 'room.added',
        room: {
          name: room, displayName: person.displayName, kind: 'dm', role: null, unread: 0, mentions: 0, lastReadSeq: 0, lastSeq: 0,
          lastActivity: Date.now(), other: person,
        },
      })
    }
    return room
  }

  setStatus(status: Presence): void {
    this.presence.choose(status)
  }

  #sendSubject(room: string, threadId: string | null): string {
    const subject = `deliver.${this.#me}.send.${room}`
    return threadId === null ? subject : `${subject}.thread.${threadId}`
  }

  /** The browser's clock, never twice the same: author and time identify a message for older clients. */
  #now(): number {
    this.#lastTimestamp = Math.max(Date.now(), this.#lastTimestamp + 1)
    return this.#lastTimestamp
  }
}

export function directRoom(a: string, b: string): string {
  return `dm-${[a, b].sort().join('-')}`
}

export function mentionsIn(text: string): string[] {
  return [...new Set([...text.matchAll(/(?:^|[^\w@])@(\w[\w-]*)/g)].flatMap((match) => match[1] ?? []))]
}
