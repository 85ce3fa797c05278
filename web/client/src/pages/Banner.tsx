import { LoaderCircle } from 'lucide-react'
import { useEffect, useState } from 'react'
import { useChatState } from '../client/context'
import styles from './Banner.module.css'

/** Short losses heal unseen; a banner for every blink would be noise. */
const QUIET_MS = 700

export function Banner() {
  const away = useChatState((state) => state.connection !== 'online')
  const started = useChatState((state) => state.started)
  const [shown, setShown] = useState(false)

  useEffect(() => {
    if (!away) return setShown(false)
    const timer = setTimeout(() => setShown(true), QUIET_MS)
    return () => clearTimeout(timer)
  }, [away])

  return (
    <div className={styles.place} role="status">
      {shown && (
        <p className={styles.banner}>
          <LoaderCircle size={15} strokeWidth={2} className={styles.turning} aria-hidden="true" />
          {started ? 'Reconnecting. You can keep writing; it goes out as soon as the server is back.' : 'Connecting…'}
        </p>
      )}
    </div>
  )
}
