/**
 * Messages on their way out.
 *
 * Each room sends one message at a time, so that order is what was typed. A message keeps its `clientId` through every
 * try; the server answers a repeated one with the first one's id, so nothing doubles. What can not go out now waits for
 * the connection; what the server refuses is handed back to its author.
 */
import type { ChatStore } from '../store/store'
import { type Message, timelineKey } from '../store/state'
import { decodeReceipt, Refused } from '../wire/decode'
import { type Connection, Unanswered } from './connection'

const SEND_TIMEOUT_MS = 10_000
const TRIES_MAX = 3
const RETRY_WAIT_MS = 1_000
const RATE_LIMIT_WAIT_MAX_MS = 60_000

const OFFLINE = 'Not sent. You are offline; it will go out by itself.'
const SLOW_DOWN = 'You are sending very fast. It goes out by itself in a moment.'
const NO_ANSWER = 'The server did not answer.'

interface Parcel {
  message: Message
  body: Record<string, unknown>
  subject: string
  timeline: string
  tries: number
}

export class Outbox {
  readonly #queues = new Map<string, Parcel[]>()
  readonly #failed = new Map<string, Parcel>()
  readonly #busy = new Set<string>()

  constructor(
    private readonly connection: Connection,
    private readonly store: ChatStore,
    /** Whether the rooms have been joined again; before that the server would refuse. */
    private readonly joined: () => boolean,
  ) {}

  send(message: Message, body: Record<string, unknown>, subject: string): void {
    const timeline = timelineKey(message.room, message.threadId)
    this.store.dispatch({ type: 'send.started', message })
    this.#enqueue({ message, body, subject, timeline, tries: 0 })
  }

  retry(clientId: string): void {
    const parcel = this.#failed.get(clientId)
    if (!parcel) return
    this.#failed.delete(clientId)
    this.store.dispatch({ type: 'send.resumed', timeline: parcel.timeline, clientId })
    this.#enqueue({ ...parcel, tries: 0 })
  }

  discard(timeline: string, clientId: string): void {
    this.#failed.delete(clientId)
    const queue = this.#queues.get(timeline)
    if (queue) this.#queues.set(timeline, queue.filter((parcel) => parcel.message.clientId !== clientId))
    this.store.dispatch({ type: 'send.discarded', timeline, clientId })
  }

  /** Sends what has been waiting; to be called whenever the connection is ready again. */
  flush(): void {
    for (const timeline of this.#queues.keys()) void this.#drain(timeline)
  }

  get waiting(): number {
    let count = this.#failed.size
    for (const queue of this.#queues.values()) count += queue.length
    return count
  }

  #enqueue(parcel: Parcel): void {
    const queue = this.#queues.get(parcel.timeline) ?? []
    queue.push(parcel)
    this.#queues.set(parcel.timeline, queue)
    void this.#drain(parcel.timeline)
  }

  async #drain(timeline: string): Promise<void> {
    if (this.#busy.has(timeline)) return
    this.#busy.add(timeline)
    try {
      for (;;) {
        const parcel = this.#queues.get(timeline)?.[0]
        if (!parcel) return
        if (!this.connection.isUp) return this.#allWait(timeline)
        if (!this.joined()) return
        const done = await this.#try(parcel)
        if (done) this.#remove(parcel)
      }
    } finally {
      this.#busy.delete(timeline)
    }
  }

  #allWait(timeline: string): void {
    for (const { message } of this.#queues.get(timeline) ?? []) this.#note(timeline, message, OFFLINE)
  }

  #note(timeline: string, message: Message, problem: string): void {
    this.store.dispatch({ type: 'send.waiting', timeline, clientId: message.key, problem })
  }

  #remove(parcel: Parcel): void {
    const queue = this.#queues.get(parcel.timeline) ?? []
    this.#queues.set(parcel.timeline, queue.filter((other) => other !== parcel))
  }

  /** One try. Returns whether the parcel leaves the queue, delivered or failed. */
  async #try(parcel: Parcel): Promise<boolean> {
    const { timeline } = parcel
    const clientId = parcel.message.key
    parcel.tries += 1
    this.store.dispatch({ type: 'send.resumed', timeline, clientId })
    try {
      const reply = await this.connection.request(parcel.subject, parcel.body, SEND_TIMEOUT_MS)
      this.store.dispatch({ type: 'send.settled', timeline, clientId, receipt: decodeReceipt(reply) })
      return true
    } catch (error) {
      if (error instanceof Refused && error.code === 'rate_limited') {
        this.#note(timeline, parcel.message, SLOW_DOWN)
        parcel.tries = 0
        await wait(Math.min(error.retryAfterMs ?? RETRY_WAIT_MS, RATE_LIMIT_WAIT_MAX_MS))
        return false
      }
      if (error instanceof Unanswered && !this.connection.isUp) return false
      if (error instanceof Unanswered && parcel.tries < TRIES_MAX) {
        await wait(RETRY_WAIT_MS)
        return false
      }
      this.#failed.set(clientId, parcel)
      this.store.dispatch({ type: 'send.failed', timeline, clientId, problem: reasonOf(error) })
      return true
    }
  }
}

export function reasonOf(error: unknown): string {
  if (error instanceof Refused) return sentence(error.message)
  if (error instanceof Unanswered) return NO_ANSWER
  return 'Something went wrong on this page.'
}

function sentence(text: string): string {
  const capital = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.!?]$/.test(capital) ? capital : `${capital}.`
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
