/** Looks up the display names the state lacks, a batch at a time. */
import type { ChatStore } from '../store/store'
import { unknownPeople } from '../store/selectors'
import { decodePeople } from '../wire/decode'
import type { Person } from '../wire/types'
import type { Connection } from './connection'

const BATCH_MAX = 100
const GATHER_MS = 40

export class Directory {
  readonly #asked = new Set<string>()
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(
    private readonly connection: Connection,
    private readonly store: ChatStore,
  ) {
    store.subscribe(() => this.#gather())
  }

  async search(query: string): Promise<Person[]> {
    const people = decodePeople(await this.connection.request('users.search', query))
    this.store.dispatch({ type: 'people.loaded', people })
    return people
  }

  /** Asks again about names whose answer got lost with a connection. */
  reset(): void {
    this.#asked.clear()
    this.#gather()
  }

  #gather(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      const wanted = unknownPeople(this.store.state()).filter((name) => !this.#asked.has(name))
      for (let start = 0; start < wanted.length; start += BATCH_MAX) void this.#ask(wanted.slice(start, start + BATCH_MAX))
    }, GATHER_MS)
  }

  async #ask(usernames: string[]): Promise<void> {
    if (!this.connection.isUp) return
    usernames.forEach((name) => this.#asked.add(name))
    try {
      const people = decodePeople(await this.connection.request('users.get', { usernames }))
      if (people.length > 0) this.store.dispatch({ type: 'people.loaded', people })
    } catch {
      usernames.forEach((name) => this.#asked.delete(name))
    }
  }
}
