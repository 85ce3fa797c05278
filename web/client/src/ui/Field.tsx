import { type InputHTMLAttributes, type ReactNode, useId } from 'react'
import styles from './Field.module.css'

interface FieldProps extends InputHTMLAttributes<HTMLInputElement> {
  label: string
  note?: ReactNode
  /** What is wrong and how to put it right; shown under the field. */
  problem?: string | null
}

export function Field({ label, note, problem, ...rest }: FieldProps) {
  const id = useId()
  return (
    <div className={styles.field}>
      <label htmlFor={id}>{label}</label>
      <input id={id} className={styles.input} aria-invalid={problem ? true : undefined} aria-describedby={`${id}-note`} {...rest} />
      <p id={`${id}-note`} className={problem ? styles.problem : styles.note} role={problem ? 'alert' : undefined}>
        {problem ?? note}
      </p>
    </div>
  )
}
