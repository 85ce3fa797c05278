/**
 * Where the timeline stands. It sticks to the newest message while that is being read, stays put while history loads
 * above or anything changes its height, and tells when one or the other end comes near.
 */
import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react'

const BOTTOM_PX = 48
const LOAD_OLDER_PX = 400

interface Options {
  /** Changes when another timeline is shown. */
  id: string
  ready: boolean
  firstKey: string | undefined
  lastKey: string | undefined
  lastIsMine: boolean
  onOlder: () => void
}

interface Scroll {
  scroller: RefObject<HTMLDivElement | null>
  content: RefObject<HTMLDivElement | null>
  atBottom: boolean
  toBottom: () => void
  onScroll: () => void
}

interface Anchor {
  key: string
  top: number
}

export function useTimelineScroll({ id, ready, firstKey, lastKey, lastIsMine, onOlder }: Options): Scroll {
  const scroller = useRef<HTMLDivElement>(null)
  const content = useRef<HTMLDivElement>(null)
  const stuck = useRef(true)
  const anchor = useRef<Anchor | null>(null)
  const placed = useRef<string | null>(null)
  // Not before it has been placed: what is not on screen yet has not been read.
  const [atBottom, setAtBottom] = useState(false)

  const note = useCallback((bottom: boolean) => {
    stuck.current = bottom
    setAtBottom(bottom)
  }, [])

  const toBottom = useCallback(() => {
    const box = scroller.current
    if (box) box.scrollTop = box.scrollHeight
    note(true)
  }, [note])

  /** Puts the scroll position right after the content's height has changed. */
  const settle = useCallback(() => {
    const box = scroller.current
    if (!box) return
    if (stuck.current) {
      box.scrollTop = box.scrollHeight
      return
    }
    const kept = anchor.current && find(box, anchor.current.key)
    if (kept && anchor.current) box.scrollTop += topOf(box, kept) - anchor.current.top
  }, [])

  const onScroll = useCallback(() => {
    const box = scroller.current
    if (!box) return
    note(box.scrollHeight - box.scrollTop - box.clientHeight < BOTTOM_PX)
    anchor.current = anchorOf(box)
    if (box.scrollTop < LOAD_OLDER_PX) onOlder()
  }, [note, onOlder])

  // First sight of a timeline: the "New" line a fifth of the way down, else the newest message.
  useLayoutEffect(() => {
    const box = scroller.current
    if (!ready || !box || placed.current === id) return
    placed.current = id
    const line = box.querySelector<HTMLElement>('[data-new]')
    box.scrollTop = line ? box.scrollTop + topOf(box, line) - box.clientHeight * 0.2 : box.scrollHeight
    onScroll()
  }, [id, ready, onScroll])

  useLayoutEffect(() => {
    if (lastIsMine) note(true)
  }, [lastKey, lastIsMine, note])

  useLayoutEffect(settle, [settle, firstKey, lastKey])

  useEffect(() => {
    const box = scroller.current
    const inside = content.current
    if (!box || !inside) return
    const observer = new ResizeObserver(settle)
    observer.observe(box)
    observer.observe(inside)
    return () => observer.disconnect()
  }, [settle, ready])

  return { scroller, content, atBottom, toBottom, onScroll }
}

function topOf(box: HTMLElement, element: HTMLElement): number {
  return element.getBoundingClientRect().top - box.getBoundingClientRect().top
}

function find(box: HTMLElement, key: string): HTMLElement | null {
  return box.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`)
}

/** The first message that is visible, and where. */
function anchorOf(box: HTMLElement): Anchor | null {
  const boxTop = box.getBoundingClientRect().top
  for (const element of box.querySelectorAll<HTMLElement>('[data-key]')) {
    const { top, bottom } = element.getBoundingClientRect()
    if (bottom > boxTop) return { key: element.dataset.key ?? '', top: top - boxTop }
  }
  return null
}
