import { CircleAlert, MessageSquareText, Pencil, SmilePlus, Trash2 } from 'lucide-react'
import { memo, type KeyboardEvent, useState } from 'react'
import type { Message } from '../../store/state'
import { IconButton, TextButton } from '../../ui/Button'
import { classes } from '../../ui/classes'
import { Face } from '../../ui/Face'
import { Popover } from '../../ui/Popover'
import { exactTimeOf, timeOf } from './days'
import { EditBox } from './EditBox'
import { EMOJI } from '../../ui/emoji'
import { Markdown } from './Markdown'
import styles from './MessageRow.module.css'
import { Reactions } from './Reactions'

export interface MessageActions {
  edit: (message: Message, text: string) => Promise<void>
  remove: (message: Message) => void
  react: (message: Message, emoji: string) => void
  openThread: ((message: Message) => void) | null
  retry: (message: Message) => void
  discard: (message: Message) => void
  editing: (key: string | null) => void
}

interface MessageRowProps {
  message: Message
  /** Continues the message above: same author, moments later. */
  follows: boolean
  name: string
  me: string
  nameOf: (username: string) => string
  editing: boolean
  actions: MessageActions
}

export const MessageRow = memo(function MessageRow({ message, follows, name, me, nameOf, editing, actions }: MessageRowProps) {
  const [touched, setTouched] = useState(false)
  if (message.system) return <SystemLine message={message} />

  const mine = message.user === me
  const mentionsMe = !message.deleted && !mine && (message.mentions.includes(me) || mentions(message.text, me))
  const settled = message.delivery === 'sent' && !message.deleted
  const shortcut = (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget || !settled) return
    if (event.key === 'e' && mine) actions.editing(message.key)
    else if (event.key === 't') actions.openThread?.(message)
    else return
    event.preventDefault()
  }

  return (
    <article
      className={classes(
        styles.row,
        follows && styles.follows,
        mentionsMe && styles.mention,
        message.delivery !== 'sent' && styles.pending,
        touched && styles.touched,
      )}
      data-key={message.key}
      tabIndex={-1}
      aria-label={`${name}, ${timeOf(message.timestamp)}`}
      onKeyDown={shortcut}
      onContextMenu={(event) => {
        if (!window.matchMedia('(pointer: coarse)').matches) return
        event.preventDefault()
        setTouched(true)
      }}
      onBlur={() => setTouched(false)}
    >
      {follows ? <time className={styles.aside} title={exactTimeOf(message.timestamp)}>{timeOf(message.timestamp)}</time> : <Face id={message.user} name={name} />}
      <div className={styles.body}>
        {!follows && (
          <div className={styles.who}>
            <span className={styles.name}>{name}</span>
            <time dateTime={new Date(message.timestamp).toISOString()} title={exactTimeOf(message.timestamp)}>
              {timeOf(message.timestamp)}
            </time>
          </div>
        )}
        {editing ? (
          <EditBox text={message.text} onSave={(text) => actions.edit(message, text)} onClose={() => actions.editing(null)} />
        ) : message.deleted ? (
          <p className={styles.quiet}>This message was deleted.</p>
        ) : (
          <Markdown text={message.text} me={me} nameOf={nameOf}>
            {message.editedAt !== null && (
              <span className={styles.edited} title={`Edited ${exactTimeOf(message.editedAt)}`}> (edited)</span>
            )}
          </Markdown>
        )}
        {settled && <Reactions reactions={message.reactions} me={me} nameOf={nameOf} onToggle={(emoji) => actions.react(message, emoji)} />}
        {message.replyCount > 0 && actions.openThread && (
          <button type="button" className={styles.replies} onClick={() => actions.openThread?.(message)}>
            <MessageSquareText size={15} strokeWidth={1.75} />
            {message.replyCount === 1 ? '1 reply' : `${message.replyCount} replies`}
          </button>
        )}
        {message.problem && (
          <p className={message.delivery === 'failed' ? styles.failed : styles.waits} role="status">
            {message.delivery === 'failed' && <CircleAlert size={15} strokeWidth={1.75} />}
            <span>{message.delivery === 'failed' ? `Not sent. ${message.problem}` : message.problem}</span>
            {message.delivery === 'failed' && <TextButton onClick={() => actions.retry(message)}>Try again</TextButton>}
            {message.delivery === 'failed' && <TextButton onClick={() => actions.discard(message)}>Discard</TextButton>}
          </p>
        )}
      </div>
      {settled && !editing && <Tools message={message} mine={mine} actions={actions} />}
    </article>
  )
})

function SystemLine({ message }: { message: Message }) {
  return (
    <p className={styles.system} data-key={message.key}>
      {message.text} <time title={exactTimeOf(message.timestamp)}>{timeOf(message.timestamp)}</time>
    </p>
  )
}

function Tools({ message, mine, actions }: { message: Message; mine: boolean; actions: MessageActions }) {
  return (
    <div className={styles.tools} role="group" aria-label="Message">
      <Popover
        label="Reactions"
        trigger={({ open, toggle }) => (
          <IconButton label="React" aria-haspopup="menu" aria-expanded={open} onClick={toggle}>
            <SmilePlus size={18} strokeWidth={1.75} />
          </IconButton>
        )}
      >
        {(close) => (
          <div className={styles.emoji}>
            {EMOJI.map(({ emoji, name }) => (
              <button
                key={emoji}
                type="button"
                role="menuitem"
                aria-label={name}
                title={name}
                onClick={() => {
                  actions.react(message, emoji)
                  close()
                }}
              >
                {emoji}
              </button>
            ))}
          </div>
        )}
      </Popover>
      {actions.openThread && (
        <IconButton label="Reply in thread" onClick={() => actions.openThread?.(message)}>
          <MessageSquareText size={18} strokeWidth={1.75} />
        </IconButton>
      )}
      {mine && (
        <IconButton label="Edit" onClick={() => actions.editing(message.key)}>
          <Pencil size={18} strokeWidth={1.75} />
        </IconButton>
      )}
      {mine && (
        <IconButton label="Delete" onClick={() => actions.remove(message)}>
          <Trash2 size={18} strokeWidth={1.75} />
        </IconButton>
      )}
    </div>
  )
}

function mentions(text: string, me: string): boolean {
  return text.includes(`@${me}`) && new RegExp(`(^|[^\\w@])@${me}(?![\\w-])`).test(text)
}
