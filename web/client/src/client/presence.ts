/** Says that this page is here, and hears who else is. */
import type { ChatStore } from '../store/store'
import { decodePresenceList } from '../wire/decode'
import type { Presence } from '../wire/types'
import type { Connection } from './connection'

const HEARTBEAT_MS = 10_000

export class PresenceBeat {
  readonly #connId = crypto.randomUUID().slice(0, 8)
  #timer: ReturnType<typeof setInterval> | undefined

  constructor(
    private readonly connection: Connection,
    private readonly store: ChatStore,
  ) {}

  /** Starts, or starts again on a new connection, which has forgotten a chosen status. */
  start(): void {
    this.stop()
    this.#beat()
    this.#timer = setInterval(() => this.#beat(), HEARTBEAT_MS)
    const { status } = this.store.state()
    if (status !== 'online') this.#update(status)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  choose(status: Presence): void {
    this.store.dispatch({ type: 'status.chosen', status })
    this.#update(status)
  }

  /** Best effort while the page goes away; the server notices a lost connection by itself. */
  leave(): void {
    this.stop()
    this.connection.publish('presence.disconnect', { userId: this.#me, connId: this.#connId })
  }

  async load(room: string): Promise<void> {
    try {
      const people = decodePresenceList(await this.connection.request(`presence.room.${room}`, {}))
      this.store.dispatch({ type: 'presence.loaded', room, people })
    } catch {
      // Dots stay as they are; the next change or reconnect corrects them.
    }
  }

  get #me(): string {
    return this.store.state().me.username
  }

  #beat(): void {
    this.connection.publish('presence.heartbeat', { userId: this.#me, connId: this.#connId })
  }

  #update(status: Presence): void {
    this.connection.publish('presence.update', { userId: this.#me, status })
  }
}
