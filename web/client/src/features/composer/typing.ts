/** Pure edits of a text area's value and selection. */

export interface Edit {
  text: string
  start: number
  end: number
}

/** Puts `mark` around the selection, or takes it away if it is there. */
export function wrap({ text, start, end }: Edit, mark: string): Edit {
  const size = mark.length
  const inside = text.slice(start, end)
  if (text.slice(start - size, start) === mark && text.slice(end, end + size) === mark) {
    return { text: text.slice(0, start - size) + inside + text.slice(end + size), start: start - size, end: end - size }
  }
  return { text: text.slice(0, start) + mark + inside + mark + text.slice(end), start: start + size, end: end + size }
}

/** Replaces the selection; the caret goes behind what was put in. */
export function insert({ text, start, end }: Edit, piece: string): Edit {
  const caret = start + piece.length
  return { text: text.slice(0, start) + piece + text.slice(end), start: caret, end: caret }
}

/** The `@name` being typed at the caret, without its `@`; null if there is none. */
export function mentionAt(text: string, caret: number): { query: string; start: number } | null {
  const found = /(?:^|[\s(])@([\w-]{0,32})$/.exec(text.slice(0, caret))
  if (!found) return null
  const query = found[1] ?? ''
  return { query, start: caret - query.length - 1 }
}
