import { AtSign, SendHorizontal, Smile } from 'lucide-react'
import { type KeyboardEvent, useId, useLayoutEffect, useRef, useState } from 'react'
import { useChat, useChatState } from '../../client/context'
import { IconButton } from '../../ui/Button'
import { classes } from '../../ui/classes'
import { EMOJI } from '../../ui/emoji'
import { GrowingText } from '../../ui/GrowingText'
import { PHONE } from '../../ui/useMediaQuery'
import { Popover } from '../../ui/Popover'
import styles from './Composer.module.css'
import { loadDraft, saveDraft } from './drafts'
import { MentionList } from './MentionList'
import { type Edit, insert, mentionAt, wrap } from './typing'
import { useMentions } from './useMentions'

const TEXT_BYTES_MAX = 16 * 1024
const MARKS: Record<string, string> = { b: '**', i: '_', e: '`' }

interface ComposerProps {
  room: string
  parentTimestamp: number | null
  placeholder: string
  /** Takes the focus when it appears, where that does not open a keyboard over the page. */
  autoFocus: boolean
  /** Arrow up in an empty composer. */
  onEditLast: () => void
}

export function Composer({ room, parentTimestamp, placeholder, autoFocus, onEditLast }: ComposerProps) {
  const { client } = useChat()
  const me = useChatState((state) => state.me.username)
  const place = parentTimestamp === null ? room : `${room}/${parentTimestamp}`
  const [text, setText] = useState(() => loadDraft(me, place))
  const [caret, setCaret] = useState(text.length)
  const [chosen, setChosen] = useState(0)
  const [dismissed, setDismissed] = useState<string | null>(null)
  const area = useRef<HTMLTextAreaElement>(null)
  const selectAfter = useRef<Edit | null>(null)
  const listId = useId()

  const mention = mentionAt(text, caret)
  const people = useMentions(mention && mention.query !== dismissed ? mention.query : null)
  const pick = people[Math.min(chosen, people.length - 1)]
  const tooLong = text.length > TEXT_BYTES_MAX / 4 && new TextEncoder().encode(text).length > TEXT_BYTES_MAX

  useLayoutEffect(() => {
    const edit = selectAfter.current
    selectAfter.current = null
    if (edit) area.current?.setSelectionRange(edit.start, edit.end)
  })

  const change = (next: string) => {
    setText(next)
    setChosen(0)
    saveDraft(me, place, next)
  }

  const apply = (edit: (current: Edit) => Edit) => {
    const element = area.current
    if (!element) return
    const edited = edit({ text, start: element.selectionStart, end: element.selectionEnd })
    selectAfter.current = edited
    change(edited.text)
    setCaret(edited.end)
    element.focus()
  }

  const complete = (username: string) => {
    if (!mention) return
    apply((current) => insert({ ...current, start: mention.start, end: caret }, `@${username} `))
  }

  const send = () => {
    const wanted = text.trim()
    if (wanted === '' || tooLong) return
    client.send({ room, text: wanted, parentTimestamp })
    change('')
    setCaret(0)
    area.current?.focus()
  }

  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    if (event.nativeEvent.isComposing) return
    if (pick && mention) {
      if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
        event.preventDefault()
        const step = event.key === 'ArrowDown' ? 1 : -1
        return setChosen((Math.min(chosen, people.length - 1) + step + people.length) % people.length)
      }
      if (event.key === 'Tab' || event.key === 'Enter') {
        event.preventDefault()
        return complete(pick.username)
      }
      if (event.key === 'Escape') {
        event.stopPropagation()
        return setDismissed(mention.query)
      }
    }
    const mark = (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey ? MARKS[event.key] : undefined
    if (mark) {
      event.preventDefault()
      apply((current) => wrap(current, mark))
    } else if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault()
      send()
    } else if (event.key === 'ArrowUp' && text === '') {
      event.preventDefault()
      onEditLast()
    }
  }

  return (
    <div className={styles.composer}>
      {pick && <MentionList id={listId} people={people} chosen={pick.username} onChoose={complete} />}
      <GrowingText
        ref={area}
        className={styles.text}
        value={text}
        rowsMax={10}
        placeholder={placeholder}
        aria-label={placeholder}
        aria-autocomplete="list"
        aria-controls={pick ? listId : undefined}
        aria-activedescendant={pick ? `${listId}-${pick.username}` : undefined}
        autoFocus={autoFocus && !window.matchMedia(PHONE).matches}
        onChange={(event) => {
          change(event.target.value)
          setCaret(event.target.selectionEnd)
          setDismissed(null)
        }}
        onSelect={(event) => setCaret(event.currentTarget.selectionEnd)}
        onKeyDown={onKeyDown}
      />
      <div className={styles.bar}>
        <Popover
          label="Emoji"
          align="start"
          side="above"
          trigger={({ open, toggle }) => (
            <IconButton label="Add an emoji" aria-haspopup="menu" aria-expanded={open} onClick={toggle}>
              <Smile size={18} strokeWidth={1.75} />
            </IconButton>
          )}
        >
          {() => (
            <div className={styles.emoji}>
              {EMOJI.map(({ emoji, name }) => (
                <button key={emoji} type="button" role="menuitem" aria-label={name} title={name} onClick={() => apply((current) => insert(current, emoji))}>
                  {emoji}
                </button>
              ))}
            </div>
          )}
        </Popover>
        <IconButton label="Mention somebody" onClick={() => apply((current) => insert(current, /(^|\s)$/.test(current.text.slice(0, current.start)) ? '@' : ' @'))}>
          <AtSign size={18} strokeWidth={1.75} />
        </IconButton>
        {tooLong && <p className={styles.tooLong} role="alert">Too long for one message. Please send it in parts.</p>}
        <button type="button" className={classes(styles.send, text.trim() !== '' && styles.ready)} aria-label="Send" title="Send (Enter)" disabled={text.trim() === '' || tooLong} onClick={send}>
          <SendHorizontal size={18} strokeWidth={1.75} />
        </button>
      </div>
    </div>
  )
}
