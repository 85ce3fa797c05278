import { expect, it } from 'vitest'
import { decodeMessage } from '../wire/decode'
import type { RoomSummary, WireMessage } from '../wire/types'
import { apply } from './apply'
import type { ChatEvent } from './events'
import { type ChatState, initialState, type Message } from './state'
import { fromWire } from './timeline'

const ME = { username: 'alice', displayName: 'Alice Admin', roles: ['user'] }

function room(name: string, more: Partial<RoomSummary> = {}): RoomSummary {
  return {
    name, displayName: name, kind: 'public', role: null, unread: 0, mentions: 0, lastReadSeq: 0, lastSeq: 0, lastActivity: null,
    other: null, ...more,
  }
}

function wire(seq: number, text: string, more: Partial<WireMessage> = {}): WireMessage {
  return { ...decodeMessage({ id: `id-${seq}`, seq, user: 'bob', text, timestamp: 1_000 + seq }, 'general'), ...more }
}

function pending(clientId: string, text: string, timestamp: number): Message {
  const message = fromWire(wire(0, text, { user: 'alice', clientId, timestamp, id: null, seq: null }))
  return { ...message, delivery: 'sending' }
}

function play(...events: ChatEvent[]): ChatState {
  const start: ChatEvent[] = [
    { type: 'rooms.loaded', me: ME, rooms: [room('general'), room('random')] },
    { type: 'history.newest', timeline: 'general', page: { messages: [], hasMore: false } },
  ]
  return [...start, ...events].reduce(apply, initialState('alice'))
}

const posted = (message: WireMessage): ChatEvent => ({ type: 'message.posted', message })
const texts = (state: ChatState): string[] => (state.timelines.general?.messages ?? []).map((message) => message.text)

it('orders messages by sequence, whatever order they arrive in', () => {
  expect(texts(play(posted(wire(3, 'c')), posted(wire(1, 'a')), posted(wire(2, 'b'))))).toEqual(['a', 'b', 'c'])
})

it('shows a message once that comes by notification and by history', () => {
  const page = { messages: [wire(1, 'a'), wire(2, 'b')], hasMore: false }
  expect(texts(play(posted(wire(2, 'b')), { type: 'history.newest', timeline: 'general', page }, posted(wire(1, 'a'))))).toEqual(['a', 'b'])
})

it('settles a pending message by its client id when the notification comes before the receipt', () => {
  const state = play(
    { type: 'send.started', message: pending('c1', 'hello', 5_000) },
    posted(wire(7, 'hello', { user: 'alice', clientId: 'c1', timestamp: 5_000 })),
    { type: 'send.settled', timeline: 'general', clientId: 'c1', receipt: { id: 'id-7', seq: 7, timestamp: 5_000 } },
  )
  expect(state.timelines.general?.messages).toMatchObject([{ key: 'c1', id: 'id-7', seq: 7, delivery: 'sent' }])
})

it('settles a pending message by its receipt, and knows it again in history without a client id', () => {
  const state = play(
    { type: 'send.started', message: pending('c1', 'hello', 5_000) },
    { type: 'send.settled', timeline: 'general', clientId: 'c1', receipt: { id: 'id-7', seq: 7, timestamp: 5_000 } },
    { type: 'history.newest', timeline: 'general', page: { messages: [wire(7, 'hello', { user: 'alice', timestamp: 5_000 })], hasMore: false } },
  )
  expect(state.timelines.general?.messages).toMatchObject([{ key: 'c1', seq: 7 }])
})

it('keeps pending messages below stored ones, in the order they were written', () => {
  const state = play(
    { type: 'send.started', message: pending('c1', 'mine 1', 5_000) },
    { type: 'send.started', message: pending('c2', 'mine 2', 5_001) },
    posted(wire(4, 'theirs', { timestamp: 9_000 })),
  )
  expect(texts(state)).toEqual(['theirs', 'mine 1', 'mine 2'])
})

it('moves a settled message to its place in the order', () => {
  const state = play(
    { type: 'send.started', message: pending('c1', 'mine', 5_000) },
    posted(wire(9, 'later')),
    { type: 'send.settled', timeline: 'general', clientId: 'c1', receipt: { id: 'id-8', seq: 8, timestamp: 5_000 } },
  )
  expect(texts(state)).toEqual(['mine', 'later'])
})

it('keeps a failed message until it is discarded', () => {
  const failed = play(
    { type: 'send.started', message: pending('c1', 'mine', 5_000) },
    { type: 'send.failed', timeline: 'general', clientId: 'c1', problem: 'The disk is full.' },
  )
  expect(failed.timelines.general?.messages).toMatchObject([{ delivery: 'failed', problem: 'The disk is full.' }])
  expect(texts(apply(failed, { type: 'send.discarded', timeline: 'general', clientId: 'c1' }))).toEqual([])
})

it('never discards a message that was stored after all', () => {
  const state = play(
    { type: 'send.started', message: pending('c1', 'mine', 5_000) },
    posted(wire(7, 'mine', { user: 'alice', clientId: 'c1', timestamp: 5_000 })),
    { type: 'send.failed', timeline: 'general', clientId: 'c1', problem: 'The server did not answer.' },
    { type: 'send.discarded', timeline: 'general', clientId: 'c1' },
  )
  expect(state.timelines.general?.messages).toMatchObject([{ text: 'mine', delivery: 'sent' }])
})

it('edits, deletes and reacts by author and time', () => {
  const target = { room: 'general', threadId: null, user: 'bob', timestamp: 1_001 }
  const state = play(
    posted(wire(1, 'one')),
    posted(wire(2, 'two')),
    { type: 'message.edited', message: wire(3, 'one!', { timestamp: 1_001, editedAt: 99 }) },
    { type: 'message.reacted', notification: { ...target, notifyId: 'n', action: 'react', user: 'alice', seq: 4, clientId: null, emoji: '🐸', targetUser: 'bob' } },
    { type: 'message.deleted', room: 'general', threadId: null, user: 'bob', timestamp: 1_002 },
  )
  expect(state.timelines.general?.messages).toMatchObject([
    { text: 'one!', editedAt: 99, reactions: { '🐸': ['alice'] } },
    { text: '', deleted: true },
  ])
})

it('ignores an edit that claims another author', () => {
  expect(texts(play(posted(wire(1, 'one')), { type: 'message.edited', message: wire(2, 'forged', { user: 'eve', timestamp: 1_001 }) }))).toEqual(['one'])
})

it('counts unread messages of others, and each of them once', () => {
  const state = play(
    posted(wire(1, 'a', { room: 'random' })),
    posted(wire(2, 'hi @alice', { room: 'random', mentions: ['alice'] })),
    posted(wire(2, 'hi @alice', { room: 'random', mentions: ['alice'] })),
    posted(wire(3, 'mine', { room: 'random', user: 'alice' })),
  )
  expect(state.rooms.random).toMatchObject({ unread: 2, mentions: 1, lastSeq: 3 })
})

it('does not count what is being looked at', () => {
  const state = play({ type: 'view.opened', room: 'general' }, { type: 'view.reading', reading: true }, posted(wire(1, 'a')))
  expect(state.rooms.general).toMatchObject({ unread: 0, lastSeq: 1 })
})

it('draws the "New" line where reading stopped', () => {
  const state = play(posted(wire(5, 'old')), { type: 'room.read', room: 'general', seq: 5 }, posted(wire(8, 'new')), { type: 'view.opened', room: 'general' })
  expect(state.timelines.general?.newAfter).toBe(5)
})

it('does not bring back an unread count that was just read here', () => {
  const state = play(
    posted(wire(5, 'a', { room: 'random' })),
    { type: 'room.read', room: 'random', seq: 5 },
    { type: 'rooms.loaded', me: ME, rooms: [room('general'), room('random', { unread: 1, lastReadSeq: 0, lastSeq: 5 })] },
  )
  expect(state.rooms.random).toMatchObject({ unread: 0, lastReadSeq: 5 })
})

it('keeps thread replies out of the room and counts them', () => {
  const state = play(posted(wire(1, 'parent')), posted(wire(2, 'reply', { threadId: 'general-1001', parentTimestamp: 1_001 })))
  expect(state.timelines.general?.messages).toMatchObject([{ text: 'parent', replyCount: 1 }])
  expect(state.rooms.general?.unread).toBe(1)
})

it('forgets a room that was left', () => {
  const state = play(posted(wire(1, 'a')), { type: 'room.removed', room: 'general' })
  expect(state.rooms.general).toBeUndefined()
  expect(state.timelines.general).toBeUndefined()
})
