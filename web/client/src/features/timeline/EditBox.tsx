import { useState } from 'react'
import { Button } from '../../ui/Button'
import { GrowingText } from '../../ui/GrowingText'
import styles from './EditBox.module.css'

interface EditBoxProps {
  text: string
  onSave: (text: string) => Promise<void>
  onClose: () => void
}

/** A message being edited in place: Enter saves, Escape leaves it as it was. */
export function EditBox({ text, onSave, onClose }: EditBoxProps) {
  const [draft, setDraft] = useState(text)
  const [problem, setProblem] = useState<string | null>(null)
  const [saving, setSaving] = useState(false)

  const save = async () => {
    const wanted = draft.trim()
    if (wanted === '' || saving) return
    if (wanted === text) return onClose()
    setSaving(true)
    try {
      await onSave(wanted)
      onClose()
    } catch (error) {
      setProblem(error instanceof Error ? error.message : 'Not saved.')
      setSaving(false)
    }
  }

  return (
    <div className={styles.box}>
      <GrowingText
        aria-label="Edit message"
        className={styles.text}
        value={draft}
        autoFocus
        rowsMax={10}
        onChange={(event) => setDraft(event.target.value)}
        onFocus={(event) => event.target.setSelectionRange(draft.length, draft.length)}
        onKeyDown={(event) => {
          if (event.key === 'Escape') {
            event.stopPropagation()
            onClose()
          } else if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
            event.preventDefault()
            void save()
          }
        }}
      />
      <div className={styles.bar}>
        {problem && <p className={styles.problem} role="alert">Not saved. {problem}</p>}
        <Button onClick={onClose}>Cancel</Button>
        <Button look="primary" disabled={saving || draft.trim() === ''} onClick={() => void save()}>Save</Button>
      </div>
    </div>
  )
}
