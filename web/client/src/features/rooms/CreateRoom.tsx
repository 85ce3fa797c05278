import { type FormEvent, useState } from 'react'
import { useChat, useChatState } from '../../client/context'
import { Button } from '../../ui/Button'
import { Dialog, DialogActions } from '../../ui/Dialog'
import { Field } from '../../ui/Field'
import { Refused } from '../../wire/decode'
import { nameProblem, takenProblem, toRoomName } from './roomName'

interface CreateRoomProps {
  onCreated: (room: string) => void
  onClose: () => void
}

export function CreateRoom({ onCreated, onClose }: CreateRoomProps) {
  const { client } = useChat()
  const rooms = useChatState((state) => state.rooms)
  const [typed, setTyped] = useState('')
  const [problem, setProblem] = useState<string | null>(null)
  const [busy, setBusy] = useState(false)
  const name = toRoomName(typed.replace(/-+$/, ''))

  const create = async (event: FormEvent) => {
    event.preventDefault()
    const wrong = nameProblem(name, (wanted) => wanted in rooms)
    setProblem(wrong)
    if (wrong !== null || busy) return
    setBusy(true)
    try {
      await client.createRoom(name, name)
      onCreated(name)
    } catch (error) {
      setBusy(false)
      setProblem(reason(error, name))
    }
  }

  return (
    <Dialog title="Create a private room" onClose={onClose}>
      <form onSubmit={(event) => void create(event)} noValidate>
        <Field
          label="Name"
          autoFocus
          value={typed}
          placeholder="launch"
          autoComplete="off"
          spellCheck={false}
          problem={problem}
          note={name !== '' && name !== typed ? `It will be called ${name}.` : 'Lower case letters, digits and hyphens. Only people you invite can see it.'}
          onChange={(event) => {
            setTyped(event.target.value)
            setProblem(null)
          }}
        />
        <DialogActions>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="primary" disabled={busy}>Create room</Button>
        </DialogActions>
      </form>
    </Dialog>
  )
}

function reason(error: unknown, name: string): string {
  if (!(error instanceof Refused)) return 'The room was not created, because the server did not answer. Try again.'
  return /exists|taken/.test(`${error.code} ${error.message}`) ? takenProblem(name) : error.message
}
