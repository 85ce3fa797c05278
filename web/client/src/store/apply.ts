/** The one function that changes the state: pure, and exhaustive over `ChatEvent`. */
import type { RoomSummary, WireMessage } from '../wire/types'
import type { ChatEvent } from './events'
import { type ChatState, EMPTY_TIMELINE, isNewMessage, type Message, type Room, type Timeline, timelineKey } from './state'
import { bounded, byOrder, fromWire, merge, patch, toggled } from './timeline'

export function apply(state: ChatState, event: ChatEvent): ChatState {
  switch (event.type) {
    case 'connection.changed':
      return { ...state, connection: event.phase, started: state.started || event.phase === 'online' }
    case 'rooms.loaded':
      return roomsLoaded(state, event.me, event.rooms)
    case 'room.added':
      return withPeople({ ...state, rooms: { ...state.rooms, [event.room.name]: event.room } }, event.room)
    case 'room.removed':
      return roomRemoved(state, event.room)
    case 'room.changed':
      return roomChanged(state, event.change)
    case 'members.loaded':
      return { ...state, members: { ...state.members, [event.room]: event.members } }
    case 'presence.loaded':
      return {
        ...state,
        present: { ...state.present, [event.room]: event.people.map((person) => person.username) },
        presence: { ...state.presence, ...Object.fromEntries(event.people.map((person) => [person.username, person.status])) },
      }
    case 'presence.changed':
      return presenceChanged(state, event.room, event.change)
    case 'people.loaded':
      return {
        ...state,
        people: { ...state.people, ...Object.fromEntries(event.people.map((person) => [person.username, person.displayName])) },
      }
    case 'status.chosen':
      return { ...state, status: event.status, presence: { ...state.presence, [state.me.username]: event.status } }
    case 'history.loading':
      return patchTimeline(state, event.timeline, (timeline) =>
        event.older
          ? { ...timeline, loadingOlder: true }
          : { ...timeline, phase: timeline.phase === 'ready' ? 'ready' : 'loading' })
    case 'history.failed':
      return patchTimeline(state, event.timeline, (timeline) => ({
        ...timeline,
        loadingOlder: false,
        phase: timeline.phase === 'ready' ? 'ready' : 'failed',
      }))
    case 'history.newest':
      return patchTimeline(state, event.timeline, (timeline) => {
        const messages = merge(timeline.messages, event.page.messages.map(fromWire))
        // With older messages already loaded, what lies before them is known better than this page knows it.
        const hasMore = timeline.phase === 'ready' && timeline.messages.length > 0 ? timeline.hasMore : event.page.hasMore
        return bounded({ ...timeline, phase: 'ready', messages, hasMore })
      })
    case 'history.older':
      return patchTimeline(state, event.timeline, (timeline) => ({
        ...timeline,
        loadingOlder: false,
        hasMore: event.page.hasMore,
        messages: merge(timeline.messages, event.page.messages.map(fromWire)),
      }))
    case 'history.after':
      return patchTimeline(state, event.timeline, (timeline) =>
        bounded({ ...timeline, messages: merge(timeline.messages, event.page.messages.map(fromWire)) }))
    case 'message.posted':
      return messagePosted(state, event.message)
    case 'message.edited':
      return patchMessage(state, event.message, (message) => ({
        ...message,
        text: event.message.text,
        editedAt: event.message.editedAt ?? event.message.timestamp,
      }))
    case 'message.deleted':
      return patchMessage(state, event, (message) => ({ ...message, deleted: true, text: '', reactions: {} }))
    case 'message.reacted': {
      const { emoji, targetUser, user } = event.notification
      if (emoji === null || targetUser === null) return state
      return patchMessage(state, { ...event.notification, user: targetUser }, (message) => ({
        ...message,
        reactions: toggled(message.reactions, emoji, user),
      }))
    }
    case 'send.started':
      return patchTimeline(state, timelineKey(event.message.room, event.message.threadId), (timeline) => ({
        ...timeline,
        newAfter: null,
        messages: [...timeline.messages, event.message],
      }))
    case 'send.waiting':
      return patchPending(state, event, (message) => ({ ...message, delivery: 'waiting', problem: event.problem }))
    case 'send.resumed':
      return patchPending(state, event, (message) => ({ ...message, delivery: 'sending', problem: null }))
    case 'send.failed':
      return patchPending(state, event, (message) => ({ ...message, delivery: 'failed', problem: event.problem }))
    case 'send.settled':
      return sendSettled(state, event)
    case 'send.discarded':
      return patchTimeline(state, event.timeline, (timeline) => ({
        ...timeline,
        messages: timeline.messages.filter((message) => message.clientId !== event.clientId || message.delivery === 'sent'),
      }))
    case 'view.opened':
      return viewOpened(state, event.room)
    case 'view.reading':
      return { ...state, view: { ...state.view, reading: event.reading } }
    case 'room.read':
      return patchRoom(state, event.room, (room) => ({
        ...room,
        unread: 0,
        mentions: 0,
        lastReadSeq: Math.max(room.lastReadSeq, event.seq),
      }))
    default:
      return unreachable(event)
  }
}

function unreachable(event: never): never {
  throw new Error(`an event nobody applies: ${JSON.stringify(event)}`)
}

function patchTimeline(state: ChatState, key: string, change: (timeline: Timeline) => Timeline): ChatState {
  return { ...state, timelines: { ...state.timelines, [key]: change(state.timelines[key] ?? EMPTY_TIMELINE) } }
}

function patchRoom(state: ChatState, name: string, change: (room: Room) => Room): ChatState {
  const room = state.rooms[name]
  return room ? { ...state, rooms: { ...state.rooms, [name]: change(room) } } : state
}

function withPeople(state: ChatState, ...rooms: RoomSummary[]): ChatState {
  const people = { ...state.people }
  for (const { other } of rooms) if (other) people[other.username] = other.displayName
  return { ...state, people }
}

function roomsLoaded(state: ChatState, me: ChatState['me'], summaries: RoomSummary[]): ChatState {
  // A direct message that was just started may not be in the server's list until somebody has written.
  const rooms: Record<string, Room> = Object.fromEntries(Object.entries(state.rooms).filter(([, room]) => room.kind === 'dm'))
  for (const summary of summaries) {
    const known = state.rooms[summary.name]
    // A read position that is still on its way to the server must not go back on screen.
    const readHere = known !== undefined && known.lastReadSeq >= summary.lastSeq
    rooms[summary.name] = readHere
      ? { ...summary, unread: 0, mentions: 0, lastReadSeq: known.lastReadSeq, lastSeq: Math.max(known.lastSeq, summary.lastSeq) }
      : summary
  }
  const people = { ...state.people, [me.username]: me.displayName }
  const next = withPeople({ ...state, me, people, rooms }, ...summaries)
  // What came while the connection was away is new in the open room too.
  const open = state.view.room
  const missed = open !== null && state.rooms[open]?.unread === 0 && (rooms[open]?.unread ?? 0) > 0
  if (!missed) return next
  return patchTimeline(next, open, (timeline) => ({ ...timeline, newAfter: rooms[open]?.lastReadSeq ?? null }))
}

function roomRemoved(state: ChatState, name: string): ChatState {
  const { [name]: _room, ...rooms } = state.rooms
  const { [name]: _timeline, ...timelines } = state.timelines
  const { [name]: _members, ...members } = state.members
  return { ...state, rooms, timelines, members }
}

function roomChanged(state: ChatState, change: { room: string; action: 'join' | 'leave'; username: string }): ChatState {
  const present = state.present[change.room]
  if (!present) return state
  const others = present.filter((name) => name !== change.username)
  // Joining a public room takes a connection; a private one can be joined by invitation, while away.
  const arrived = change.action === 'join' && state.rooms[change.room]?.kind === 'public' && (state.presence[change.username] ?? 'offline') === 'offline'
  return {
    ...state,
    presence: arrived ? { ...state.presence, [change.username]: 'online' } : state.presence,
    present: { ...state.present, [change.room]: change.action === 'join' ? [...others, change.username] : others },
  }
}

function presenceChanged(state: ChatState, room: string, change: { username: string; status: ChatState['status'] }): ChatState {
  const present = state.present[room] ?? []
  return {
    ...state,
    status: change.username === state.me.username && change.status !== 'offline' ? change.status : state.status,
    presence: { ...state.presence, [change.username]: change.status },
    present: present.includes(change.username) ? state.present : { ...state.present, [room]: [...present, change.username] },
  }
}

function patchMessage(
  state: ChatState,
  target: { room: string; threadId: string | null; user: string; timestamp: number },
  change: (message: Message) => Message,
): ChatState {
  // A reply that was also sent to the room lives in both timelines.
  let next = state
  for (const key of new Set([target.room, timelineKey(target.room, target.threadId)])) {
    const timeline = next.timelines[key]
    if (!timeline) continue
    const messages = patch(timeline.messages, (message) => message.timestamp === target.timestamp && message.user === target.user, change)
    if (messages !== timeline.messages) next = patchTimeline(next, key, () => ({ ...timeline, messages }))
  }
  return next
}

function patchPending(state: ChatState, target: { timeline: string; clientId: string }, change: (message: Message) => Message): ChatState {
  return patchTimeline(state, target.timeline, (timeline) => ({
    ...timeline,
    messages: patch(timeline.messages, (message) => message.clientId === target.clientId && message.delivery !== 'sent', change),
  }))
}

function sendSettled(state: ChatState, event: Extract<ChatEvent, { type: 'send.settled' }>): ChatState {
  const { receipt } = event
  const settled = patchPending(state, event, (message) => ({
    ...message,
    id: receipt.id,
    seq: receipt.seq,
    timestamp: receipt.timestamp ?? message.timestamp,
    delivery: 'sent',
    problem: null,
  }))
  return patchTimeline(settled, event.timeline, (timeline) => ({ ...timeline, messages: timeline.messages.toSorted(byOrder) }))
}

function messagePosted(state: ChatState, wire: WireMessage): ChatState {
  const message = fromWire(wire)
  const key = timelineKey(wire.room, wire.threadId)
  let next = state
  // A timeline that nobody has loaded yet would show a hole before this message; its first load brings it.
  if (isLoaded(state, key)) {
    next = patchTimeline(next, key, (timeline) => bounded({ ...timeline, messages: merge(timeline.messages, [message]) }))
  }
  if (wire.threadId !== null && !wire.broadcast) return replyCounted(next, wire)
  if (wire.threadId !== null && isLoaded(next, wire.room)) {
    next = patchTimeline(next, wire.room, (timeline) => bounded({ ...timeline, messages: merge(timeline.messages, [message]) }))
  }
  return counted(next, wire)
}

function isLoaded(state: ChatState, key: string): boolean {
  const timeline = state.timelines[key]
  return timeline !== undefined && (timeline.phase === 'ready' || timeline.messages.length > 0)
}

function replyCounted(state: ChatState, reply: WireMessage): ChatState {
  const timeline = state.timelines[reply.room]
  if (!timeline) return state
  const messages = patch(timeline.messages, (message) => `${reply.room}-${message.timestamp}` === reply.threadId, (message) => ({
    ...message,
    replyCount: message.replyCount + 1,
  }))
  return patchTimeline(state, reply.room, () => ({ ...timeline, messages }))
}

/** Raises the room's counters, unless the message is one's own, already counted, or being looked at. */
function counted(state: ChatState, wire: WireMessage): ChatState {
  const room = state.rooms[wire.room]
  if (!room || !isNewMessage(wire.action)) return state
  const seq = wire.seq ?? 0
  if (seq !== 0 && seq <= room.lastSeq) return state
  const seen = { ...room, lastSeq: Math.max(room.lastSeq, seq), lastActivity: Math.max(room.lastActivity ?? 0, wire.timestamp) }
  const mine = wire.user === state.me.username
  const watched = state.view.room === wire.room && state.view.reading
  if (mine || watched || wire.action === 'system') return patchRoom(state, wire.room, () => seen)
  const mentionsMe = wire.mentions.includes(state.me.username)
  const next = patchRoom(state, wire.room, () => ({
    ...seen,
    unread: room.unread + 1,
    mentions: room.mentions + (mentionsMe ? 1 : 0),
  }))
  const firstUnread = room.unread === 0 && next.timelines[wire.room]
  return firstUnread ? patchTimeline(next, wire.room, (timeline) => ({ ...timeline, newAfter: Math.max(room.lastReadSeq, seq - 1) })) : next
}

function viewOpened(state: ChatState, name: string | null): ChatState {
  if (state.view.room === name) return state
  const next = { ...state, view: { room: name, reading: false } }
  const room = name === null ? undefined : state.rooms[name]
  if (!room) return next
  return patchTimeline(next, room.name, (timeline) => ({ ...timeline, newAfter: room.unread > 0 ? room.lastReadSeq : null }))
}
