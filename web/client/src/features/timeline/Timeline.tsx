import { ArrowDown } from 'lucide-react'
import { type KeyboardEvent, type ReactNode, useCallback, useMemo } from 'react'
import { useChat, useChatState } from '../../client/context'
import { timeline as selectTimeline } from '../../store/selectors'
import { type Message } from '../../store/state'
import { Button } from '../../ui/Button'
import { classes } from '../../ui/classes'
import { rowsOf } from './days'
import { type MessageActions, MessageRow } from './MessageRow'
import { Skeleton } from './Skeleton'
import styles from './Timeline.module.css'
import { useReading } from './useReading'
import { useTimelineScroll } from './useTimelineScroll'

interface TimelineProps {
  /** Key of the timeline in the store: a room's name or a thread's. */
  id: string
  label: string
  /** Stands above the first message once the beginning is reached. */
  beginning: ReactNode
  /** Shown where "New" begins and counted as read while at the bottom; off for threads. */
  tracksReading: boolean
  onOlder: () => void
  onRetryLoad: () => void
  onOpenThread: ((message: Message) => void) | null
  onProblem: (text: string) => void
  editing: string | null
  onEditing: (key: string | null) => void
}

export function Timeline(props: TimelineProps) {
  const { id, label, beginning, tracksReading, onOlder, onRetryLoad, onOpenThread, onProblem, editing, onEditing } = props
  const { client } = useChat()
  const timeline = useChatState((state) => selectTimeline(state, id))
  const people = useChatState((state) => state.people)
  const unread = useChatState((state) => state.rooms[id]?.unread ?? 0)
  const me = useChatState((state) => state.me.username)
  const { messages, newAfter, phase, hasMore, loadingOlder } = timeline
  const rows = useMemo(() => rowsOf(messages, tracksReading ? newAfter : null, me, Date.now()), [messages, newAfter, me, tracksReading])
  const nameOf = useCallback((username: string) => people[username] ?? username, [people])
  const last = messages.at(-1)
  const ready = phase === 'ready'

  const loadOlder = useCallback(() => {
    if (hasMore && !loadingOlder) onOlder()
  }, [hasMore, loadingOlder, onOlder])

  const scroll = useTimelineScroll({
    id,
    ready,
    firstKey: messages[0]?.key,
    lastKey: last?.key,
    lastIsMine: last !== undefined && last.user === me && last.delivery === 'sending',
    onOlder: loadOlder,
  })
  useReading(tracksReading && ready && scroll.atBottom)

  const actions = useMemo<MessageActions>(() => {
    const attempt = (work: Promise<void>) => work.catch((error: unknown) => onProblem(error instanceof Error ? error.message : String(error)))
    return {
      edit: (message, text) => client.edit(message, text),
      remove: (message) => void attempt(client.remove(message)),
      react: (message, emoji) => void attempt(client.react(message, emoji)),
      openThread: onOpenThread,
      retry: (message) => message.clientId && client.outbox.retry(message.clientId),
      discard: (message) => message.clientId && client.outbox.discard(id, message.clientId),
      editing: onEditing,
    }
  }, [client, id, onOpenThread, onEditing, onProblem])

  if (phase === 'failed' && messages.length === 0) {
    return (
      <div className={styles.trouble}>
        <p>The messages could not be loaded.</p>
        <Button onClick={onRetryLoad}>Try again</Button>
      </div>
    )
  }

  return (
    <div className={styles.frame}>
      <div
        ref={scroll.scroller}
        className={styles.scroller}
        role="log"
        aria-label={label}
        aria-busy={!ready}
        tabIndex={0}
        onScroll={scroll.onScroll}
        onKeyDown={walk}
      >
        <div ref={scroll.content} className={classes(styles.content, !tracksReading && styles.fromTop)}>
          {ready && (hasMore ? <Skeleton rows={2} label="Loading older messages" /> : beginning)}
          {!ready && <Skeleton rows={7} label="Loading messages" />}
          {ready && rows.map((row) => {
            if (row.type === 'day' && !tracksReading && row.label === 'Today') return null
            if (row.type === 'day') return <div key={row.key} className={styles.day}>{row.label}</div>
            if (row.type === 'new') return <div key={row.key} className={styles.new} data-new><span>New</span></div>
            return (
              <MessageRow
                key={row.key}
                message={row.message}
                follows={row.follows}
                name={nameOf(row.message.user)}
                me={me}
                nameOf={nameOf}
                editing={editing === row.key}
                actions={actions}
              />
            )
          })}
        </div>
      </div>
      {ready && !scroll.atBottom && (
        <button type="button" className={classes(styles.jump, unread > 0 && styles.jumpNew)} onClick={scroll.toBottom}>
          <ArrowDown size={16} strokeWidth={2} />
          {unread === 0 ? 'Newest messages' : unread === 1 ? '1 new message' : `${unread} new messages`}
        </button>
      )}
    </div>
  )
}

/** Arrow keys walk from message to message once one has the focus; Home and End go to the ends. */
function walk(event: KeyboardEvent<HTMLDivElement>) {
  const target = event.target
  if (!(target instanceof HTMLElement) || !(target === event.currentTarget || target.dataset.key)) return
  const messages = [...event.currentTarget.querySelectorAll<HTMLElement>('article[data-key]')]
  const at = messages.indexOf(target)
  const next = { ArrowUp: at < 0 ? messages.length - 1 : at - 1, ArrowDown: at < 0 ? -1 : at + 1, End: messages.length - 1 }[event.key]
  const message = next === undefined ? undefined : messages[next]
  if (!message) return
  event.preventDefault()
  message.focus({ preventScroll: true })
  message.scrollIntoView({ block: 'nearest' })
}
