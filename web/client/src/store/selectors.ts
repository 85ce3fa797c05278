/** Questions the components ask of the state. */
import type { ChatState, Message, Room } from './state'
import { EMPTY_TIMELINE, type Timeline } from './state'

export function displayName(state: ChatState, username: string): string {
  return state.people[username] ?? username
}

export function roomTitle(room: Room): string {
  return room.kind === 'dm' ? (room.other?.displayName ?? room.displayName) : room.displayName
}

/** What in a room is for oneself: mentions, and everything in a direct message. */
export function forYou(room: Room): number {
  return room.kind === 'dm' ? room.unread : room.mentions
}

export function timeline(state: ChatState, key: string): Timeline {
  return state.timelines[key] ?? EMPTY_TIMELINE
}

export interface Sections {
  rooms: Room[]
  direct: Room[]
}

/** The sidebar's order: rooms by name with #general first, people by their latest message. */
export function sections(rooms: Record<string, Room>): Sections {
  const all = Object.values(rooms)
  return {
    rooms: all.filter((room) => room.kind !== 'dm').sort(byName),
    direct: all.filter((room) => room.kind === 'dm').sort((a, b) => (b.lastActivity ?? 0) - (a.lastActivity ?? 0) || byName(a, b)),
  }
}

function byName(a: Room, b: Room): number {
  if (a.name === 'general' || b.name === 'general') return a.name === 'general' ? -1 : 1
  return roomTitle(a).localeCompare(roomTitle(b))
}

export function unreadTotals(state: ChatState): { unread: number; mentions: number } {
  let unread = 0
  let mentions = 0
  for (const room of Object.values(state.rooms)) {
    unread += room.unread
    mentions += forYou(room)
  }
  return { unread, mentions }
}

/** The newest stored sequence of a timeline, the point from which to catch up. */
export function newestSeq(messages: Message[]): number {
  return messages.reduce((newest, message) => Math.max(newest, message.seq ?? 0), 0)
}

/** Everybody the state mentions whose name is not known yet. */
export function unknownPeople(state: ChatState): string[] {
  const names = new Set<string>()
  for (const { messages } of Object.values(state.timelines)) {
    for (const message of messages) {
      if (!message.system) names.add(message.user)
      for (const users of Object.values(message.reactions)) users.forEach((user) => names.add(user))
    }
  }
  for (const list of Object.values(state.members)) list.forEach((member) => names.add(member.username))
  for (const list of Object.values(state.present)) list.forEach((name) => names.add(name))
  return [...names].filter((name) => name !== '' && !(name in state.people))
}
