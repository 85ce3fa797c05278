/**
 * The connection to the broker, and the only place that sees a socket.
 *
 * It never gives up: lost connections come back with jittered waits, each time with the current token, and subscriptions
 * survive on their own.
 */
import { type NatsConnection, wsconnect } from '@nats-io/nats-core'
import { accepted } from '../wire/decode'

const REQUEST_TIMEOUT_MS = 5_000
const RETRY_FIRST_MS = 250
const RETRY_MAX_MS = 5_000
const PING_INTERVAL_MS = 15_000

/** No answer: nobody is listening, time ran out, or the connection went away. The request may have been carried out. */
export class Unanswered extends Error {}

export interface ConnectionOptions {
  url: string
  name: string
  token: () => string
  ensureFresh: () => Promise<void>
  onUp: () => void
  onDown: () => void
}

export class Connection {
  readonly #options: ConnectionOptions
  #nats: NatsConnection | undefined
  #attempts = 0
  #closed = false
  #up = false

  constructor(options: ConnectionOptions) {
    this.#options = options
  }

  get isUp(): boolean {
    return this.#up
  }

  /** Connects, trying for as long as it takes, and then keeps the connection. */
  async open(subscribe: (connection: Connection) => void): Promise<void> {
    while (!this.#closed) {
      try {
        this.#nats = await wsconnect({
          servers: this.#options.url,
          name: this.#options.name,
          authenticator: () => ({ auth_token: this.#options.token() }),
          maxReconnectAttempts: -1,
          ignoreAuthErrorAbort: true,
          ignoreClusterUpdates: true,
          noAsyncTraces: true,
          pingInterval: PING_INTERVAL_MS,
          maxPingOut: 2,
          timeout: REQUEST_TIMEOUT_MS,
          reconnectDelayHandler: () => this.#delay(),
        })
        break
      } catch {
        await new Promise((resolve) => setTimeout(resolve, this.#delay()))
        await this.#options.ensureFresh().catch(() => undefined)
      }
    }
    if (this.#closed) return void this.#nats?.close()
    void this.#watch()
    subscribe(this)
    this.#isUp()
  }

  /** Tries again at once, for example when the browser says that the network is back. */
  hurry(): void {
    this.#attempts = 0
  }

  #delay(): number {
    const full = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** this.#attempts++)
    return full / 2 + Math.random() * (full / 2)
  }

  #isUp(): void {
    this.#attempts = 0
    this.#up = true
    this.#options.onUp()
  }

  #isDown(): void {
    if (!this.#up) return
    this.#up = false
    this.#options.onDown()
  }

  async #watch(): Promise<void> {
    const nats = this.#nats
    if (!nats) return
    for await (const status of nats.status()) {
      switch (status.type) {
        case 'disconnect':
          this.#isDown()
          void this.#options.ensureFresh().catch(() => undefined)
          break
        case 'reconnecting':
          this.#isDown()
          void this.#options.ensureFresh().catch(() => undefined)
          break
        case 'reconnect':
          this.#isUp()
          break
        default:
      }
    }
  }

  publish(subject: string, body: unknown): void {
    if (!this.#up) return
    this.#nats?.publish(subject, JSON.stringify(body))
  }

  /** Sends a request and returns the checked JSON of its answer; throws `Refused` or `Unanswered`. */
  async request(subject: string, body: unknown, timeoutMs = REQUEST_TIMEOUT_MS): Promise<unknown> {
    const nats = this.#nats
    if (!nats || !this.#up) throw new Unanswered('not connected')
    const payload = typeof body === 'string' ? body : JSON.stringify(body)
    let answer: unknown
    try {
      const message = await nats.request(subject, payload, { timeout: timeoutMs })
      answer = message.data.length === 0 ? {} : message.json()
    } catch (error) {
      throw new Unanswered(error instanceof Error ? error.message : 'no answer')
    }
    return accepted(answer)
  }

  /** Hands every message below `subject` to `handle`, as JSON with its subject's tokens. */
  subscribe(subject: string, handle: (body: unknown, tokens: string[]) => void): void {
    this.#nats?.subscribe(subject, {
      callback: (error, message) => {
        if (error) return
        try {
          handle(message.json(), message.subject.split('.'))
        } catch (cause) {
          console.warn('ignored a message on', message.subject, cause)
        }
      },
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#up = false
    await this.#nats?.close()
  }
}
