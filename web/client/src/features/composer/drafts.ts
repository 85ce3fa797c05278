/** What was typed and not sent, per person and room; survives a reload. */

const key = (me: string, place: string): string => `natterjack.draft.${me}.${place}`

export function loadDraft(me: string, place: string): string {
  try {
    return localStorage.getItem(key(me, place)) ?? ''
  } catch {
    return ''
  }
}

export function saveDraft(me: string, place: string, text: string): void {
  try {
    if (text === '') localStorage.removeItem(key(me, place))
    else localStorage.setItem(key(me, place), text)
  } catch {
    // Storage is full or blocked; the draft then lives as long as the page.
  }
}
