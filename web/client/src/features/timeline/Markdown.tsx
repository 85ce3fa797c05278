import { Fragment, memo, type ReactNode } from 'react'
import styles from './Markdown.module.css'
import { type Block, type Inline, parse } from './markdown'
import { classes } from '../../ui/classes'

interface MarkdownProps {
  text: string
  me: string
  /** The name to show for a mentioned user. */
  nameOf: (username: string) => string
  children?: ReactNode
}

/** A message's text as elements. `children` follow the last words, as "(edited)" does. */
export const Markdown = memo(function Markdown({ text, me, nameOf, children }: MarkdownProps) {
  const tree = parse(text)
  const last = tree.length - 1
  const inlines = (list: Inline[]): ReactNode => list.map((item, index) => <Fragment key={index}>{drawInline(item, index)}</Fragment>)

  const drawInline = (item: Inline, index: number): ReactNode => {
    switch (item.type) {
      case 'text':
        return item.text
      case 'break':
        return <br />
      case 'code':
        return <code>{item.text}</code>
      case 'strong':
        return <strong key={index}>{inlines(item.children)}</strong>
      case 'emphasis':
        return <em>{inlines(item.children)}</em>
      case 'strike':
        return <s>{inlines(item.children)}</s>
      case 'link':
        return (
          <a href={item.href} target="_blank" rel="noopener noreferrer">
            {inlines(item.children)}
          </a>
        )
      case 'mention':
        return (
          <span className={classes(styles.mention, item.username === me && styles.me)} title={nameOf(item.username)}>
            @{item.username}
          </span>
        )
    }
  }

  const drawBlock = (block: Block, end: ReactNode): ReactNode => {
    switch (block.type) {
      case 'paragraph':
        return (
          <p>
            {inlines(block.children)}
            {end}
          </p>
        )
      case 'code':
        return (
          <>
            <pre tabIndex={0} aria-label={block.language ? `Code, ${block.language}` : 'Code'}>
              <code>{block.text}</code>
            </pre>
            {end}
          </>
        )
      case 'quote':
        return (
          <>
            <blockquote>{block.children.map((child, index) => <Fragment key={index}>{drawBlock(child, null)}</Fragment>)}</blockquote>
            {end}
          </>
        )
      case 'list': {
        const items = block.items.map((item, index) => <li key={index}>{inlines(item)}</li>)
        return (
          <>
            {block.ordered ? <ol start={block.start}>{items}</ol> : <ul>{items}</ul>}
            {end}
          </>
        )
      }
    }
  }

  return (
    <div className={styles.text}>
      {tree.map((block, index) => <Fragment key={index}>{drawBlock(block, index === last ? children : null)}</Fragment>)}
      {tree.length === 0 && children}
    </div>
  )
})
