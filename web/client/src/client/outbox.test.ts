import { beforeEach, expect, it, vi } from 'vitest'
import { createChatStore, type ChatStore } from '../store/store'
import { fromWire } from '../store/timeline'
import { decodeMessage, Refused } from '../wire/decode'
import { Unanswered, type Connection } from './connection'
import { Outbox } from './outbox'

/** A connection whose answers the test decides. */
class FakeConnection {
  isUp = true
  readonly asked: string[] = []
  answer: (body: { clientId: string }) => Promise<unknown> = async () => ({ ok: true, id: 'x', seq: 1, timestamp: 1 })

  request(_subject: string, body: unknown): Promise<unknown> {
    const message = body as { clientId: string }
    this.asked.push(message.clientId)
    return this.answer(message)
  }
}

let connection: FakeConnection
let store: ChatStore
let outbox: Outbox

beforeEach(() => {
  vi.useFakeTimers()
  connection = new FakeConnection()
  store = createChatStore('alice')
  outbox = new Outbox(connection as unknown as Connection, store, () => true)
})

function send(clientId: string): void {
  const wire = decodeMessage({ user: 'alice', text: clientId, timestamp: 1, clientId }, 'general')
  outbox.send({ ...fromWire(wire), delivery: 'sending' }, { clientId }, 'deliver.alice.send.general')
}

const line = (clientId: string) => store.state().timelines.general?.messages.find((message) => message.clientId === clientId)

it('sends one message of a room at a time, in order', async () => {
  const gates: (() => void)[] = []
  connection.answer = () => new Promise((resolve) => gates.push(() => resolve({ ok: true, id: 'x', seq: gates.length, timestamp: gates.length })))
  send('a')
  send('b')
  await vi.advanceTimersByTimeAsync(0)
  expect(connection.asked).toEqual(['a'])
  gates[0]?.()
  await vi.advanceTimersByTimeAsync(0)
  expect(connection.asked).toEqual(['a', 'b'])
})

it('waits while offline and goes out by itself', async () => {
  connection.isUp = false
  send('a')
  await vi.advanceTimersByTimeAsync(0)
  expect(line('a')).toMatchObject({ delivery: 'waiting', problem: 'Not sent. You are offline; it will go out by itself.' })
  connection.isUp = true
  outbox.flush()
  await vi.advanceTimersByTimeAsync(0)
  expect(line('a')).toMatchObject({ delivery: 'sent', problem: null })
})

it('keeps the client id when the answer got lost with the connection', async () => {
  connection.answer = async () => {
    connection.isUp = false
    throw new Unanswered('closed')
  }
  send('a')
  await vi.advanceTimersByTimeAsync(0)
  connection.isUp = true
  connection.answer = async () => ({ ok: true, id: 'x', seq: 4, timestamp: 4 })
  outbox.flush()
  await vi.advanceTimersByTimeAsync(0)
  expect(connection.asked).toEqual(['a', 'a'])
  expect(line('a')).toMatchObject({ delivery: 'sent', seq: 4 })
})

it('hands a refused message back with the reason, and sends the next one', async () => {
  connection.answer = async ({ clientId }) => {
    if (clientId === 'a') throw new Refused('storage_full', 'the disk is full')
    return { ok: true, id: 'x', seq: 2, timestamp: 2 }
  }
  send('a')
  send('b')
  await vi.advanceTimersByTimeAsync(0)
  expect(line('a')).toMatchObject({ delivery: 'failed', problem: 'The disk is full.' })
  expect(line('b')).toMatchObject({ delivery: 'sent' })
})

it('sends a failed message again with the same client id', async () => {
  connection.answer = async () => {
    throw new Refused('unavailable', 'try again')
  }
  send('a')
  await vi.advanceTimersByTimeAsync(0)
  connection.answer = async () => ({ ok: true, id: 'x', seq: 3, timestamp: 3 })
  outbox.retry('a')
  await vi.advanceTimersByTimeAsync(0)
  expect(connection.asked).toEqual(['a', 'a'])
  expect(line('a')).toMatchObject({ delivery: 'sent', seq: 3 })
})

it('slows down when the server asks for it, without bothering anybody', async () => {
  connection.answer = async () => {
    throw new Refused('rate_limited', 'slow down', 3_000)
  }
  send('a')
  await vi.advanceTimersByTimeAsync(0)
  expect(line('a')).toMatchObject({ delivery: 'waiting' })
  connection.answer = async () => ({ ok: true, id: 'x', seq: 3, timestamp: 3 })
  await vi.advanceTimersByTimeAsync(3_000)
  expect(line('a')).toMatchObject({ delivery: 'sent' })
})

it('gives up after a few unanswered tries and says so', async () => {
  connection.answer = async () => {
    throw new Unanswered('timeout')
  }
  send('a')
  await vi.advanceTimersByTimeAsync(5_000)
  expect(connection.asked).toHaveLength(3)
  expect(line('a')).toMatchObject({ delivery: 'failed', problem: 'The server did not answer.' })
})
