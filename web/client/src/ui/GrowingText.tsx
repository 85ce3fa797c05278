import { type Ref, type TextareaHTMLAttributes, useImperativeHandle, useLayoutEffect, useRef } from 'react'

interface GrowingTextProps extends TextareaHTMLAttributes<HTMLTextAreaElement> {
  value: string
  rowsMax: number
  ref?: Ref<HTMLTextAreaElement | null>
}

/** A text area that is as tall as its text, up to `rowsMax` lines. */
export function GrowingText({ rowsMax, ref, value, ...rest }: GrowingTextProps) {
  const area = useRef<HTMLTextAreaElement>(null)
  useImperativeHandle<HTMLTextAreaElement | null, HTMLTextAreaElement | null>(ref, () => area.current)

  useLayoutEffect(() => {
    const element = area.current
    if (!element) return
    const { lineHeight, paddingTop, paddingBottom } = getComputedStyle(element)
    const padding = parseFloat(paddingTop) + parseFloat(paddingBottom)
    element.style.height = 'auto'
    const tallest = parseFloat(lineHeight) * rowsMax + padding
    element.style.height = `${Math.min(element.scrollHeight, tallest)}px`
    element.style.overflowY = element.scrollHeight > tallest ? 'auto' : 'hidden'
  }, [value, rowsMax])

  return <textarea ref={area} rows={1} value={value} {...rest} />
}
