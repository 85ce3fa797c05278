/** Where things are in the address bar. */

export interface Place {
  room: string | null
  /** Timestamp of the message whose thread is open. */
  thread: number | null
  page: 'rooms' | 'room' | 'you'
}

export const roomPath = (room: string): string => `/r/${encodeURIComponent(room)}`
export const threadPath = (room: string, parentTimestamp: number): string => `${roomPath(room)}/t/${parentTimestamp}`
export const YOU_PATH = '/you'
export const ROOMS_PATH = '/'

export function placeOf(path: string): Place {
  if (path === YOU_PATH) return { page: 'you', room: null, thread: null }
  const found = /^\/r\/([^/]+)(?:\/t\/(\d{1,16}))?\/?$/.exec(path)
  if (!found?.[1]) return { page: 'rooms', room: null, thread: null }
  return { page: 'room', room: safeDecode(found[1]), thread: found[2] ? Number(found[2]) : null }
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
