/** The rules for room names, so that the dialog can say what is wrong before the server does. */

const NAME_MAX = 64

/** What somebody typed, as close to a room name as it gets. */
export function toRoomName(typed: string): string {
  return typed.toLowerCase().replace(/[\s_]+/g, '-').replace(/[^a-z0-9-]/g, '').replace(/^-+/, '').slice(0, NAME_MAX)
}

/** Why `name` can not be a room's name; null if it can. */
export function nameProblem(name: string, taken: (name: string) => boolean): string | null {
  if (name === '') return 'Give the room a name.'
  if (name.startsWith('dm-')) return 'Names can not start with dm-. That is kept for direct messages.'
  if (taken(name)) return takenProblem(name)
  return null
}

export function takenProblem(name: string): string {
  return `That room name is taken. Try ${name.slice(0, NAME_MAX - 2)}-2.`
}
