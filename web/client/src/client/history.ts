/** Pages of the past: the newest, older ones on scroll, and everything missed while the connection was away. */
import type { ChatStore } from '../store/store'
import { newestSeq } from '../store/selectors'
import { timelineKey } from '../store/state'
import { decodeHistory } from '../wire/decode'
import type { HistoryPage } from '../wire/types'
import type { Connection } from './connection'

const PAGE_MESSAGES = 50
/** More missed pages than this and the timeline starts again from its newest page. */
const CATCH_UP_PAGES_MAX = 20

export class History {
  readonly #running = new Set<string>()

  constructor(
    private readonly connection: Connection,
    private readonly store: ChatStore,
  ) {}

  async openRoom(room: string): Promise<void> {
    const timeline = this.store.state().timelines[room]
    if (timeline?.phase === 'ready' || timeline?.phase === 'loading') return
    await this.#newest(room)
  }

  async retry(room: string): Promise<void> {
    await this.#newest(room)
  }

  async older(room: string): Promise<void> {
    const timeline = this.store.state().timelines[room]
    const oldest = timeline?.messages.find((message) => message.delivery === 'sent')
    if (!timeline?.hasMore || timeline.loadingOlder || !oldest) return
    this.store.dispatch({ type: 'history.loading', timeline: room, older: true })
    try {
      const before: Record<string, number> = oldest.seq === null ? { before: oldest.timestamp } : { beforeSeq: oldest.seq }
      const page = await this.#page(room, { ...before, limit: PAGE_MESSAGES })
      this.store.dispatch({ type: 'history.older', timeline: room, page })
    } catch {
      this.store.dispatch({ type: 'history.failed', timeline: room })
    }
  }

  /** Replies of one thread, oldest first. */
  async openThread(room: string, parentTimestamp: number): Promise<void> {
    const threadId = `${room}-${parentTimestamp}`
    const timeline = timelineKey(room, threadId)
    this.store.dispatch({ type: 'history.loading', timeline, older: false })
    try {
      const reply = await this.connection.request(`chat.history.${room}`, { room, threadId, parentTimestamp })
      this.store.dispatch({ type: 'history.newest', timeline, page: decodeHistory(reply, room) })
    } catch {
      this.store.dispatch({ type: 'history.failed', timeline })
    }
  }

  /** After a reconnect: what was missed, then the newest page again for edits, deletions and reactions. */
  async catchUp(): Promise<void> {
    const { timelines, rooms } = this.store.state()
    const loaded = Object.keys(timelines).filter((key) => rooms[key] && timelines[key]?.phase !== 'empty')
    await Promise.all(loaded.map((room) => this.#catchUpRoom(room)))
  }

  async #catchUpRoom(room: string): Promise<void> {
    if (this.#running.has(room)) return
    this.#running.add(room)
    try {
      await this.#missed(room)
      await this.#newest(room)
    } catch {
      // The connection is gone again; the next reconnect repeats this.
    } finally {
      this.#running.delete(room)
    }
  }

  async #missed(room: string): Promise<void> {
    for (let pages = 0; pages < CATCH_UP_PAGES_MAX; pages++) {
      const afterSeq = newestSeq(this.store.state().timelines[room]?.messages ?? [])
      if (afterSeq === 0) return
      const page = await this.#page(room, { afterSeq, limit: 100 })
      this.store.dispatch({ type: 'history.after', timeline: room, page })
      if (!page.hasMore || page.messages.length === 0) return
    }
  }

  async #newest(room: string): Promise<void> {
    this.store.dispatch({ type: 'history.loading', timeline: room, older: false })
    try {
      this.store.dispatch({ type: 'history.newest', timeline: room, page: await this.#page(room, { limit: PAGE_MESSAGES }) })
    } catch {
      this.store.dispatch({ type: 'history.failed', timeline: room })
    }
  }

  async #page(room: string, body: Record<string, number>): Promise<HistoryPage> {
    return decodeHistory(await this.connection.request(`chat.history.${room}`, body), room)
  }
}
