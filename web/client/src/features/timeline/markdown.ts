/**
 * The small language of messages: bold, italic, strike, code, links, quotes, lists, mentions.
 *
 * Pure text in, a tree out; `Markdown.tsx` draws the tree as elements, so there is no HTML anywhere. What is not closed
 * or not known stays as it was typed.
 */

export type Inline =
  | { type: 'text'; text: string }
  | { type: 'code'; text: string }
  | { type: 'strong' | 'emphasis' | 'strike'; children: Inline[] }
  | { type: 'link'; href: string; children: Inline[] }
  | { type: 'mention'; username: string }
  | { type: 'break' }

export type Block =
  | { type: 'paragraph'; children: Inline[] }
  | { type: 'code'; language: string; text: string }
  | { type: 'quote'; children: Block[] }
  | { type: 'list'; ordered: boolean; start: number; items: Inline[][] }

const NESTING_MAX = 8

export function parse(source: string): Block[] {
  return blocks(source.replaceAll('\r\n', '\n').split('\n'), 0)
}

const FENCE = /^\s{0,3}(```+)\s*([\w+#.-]*)\s*$/
const QUOTE = /^\s{0,3}>\s?(.*)$/
const BULLET = /^\s{0,3}[-*]\s+(.+)$/
const NUMBER = /^\s{0,3}(\d{1,6})[.)]\s+(.+)$/

function blocks(lines: string[], depth: number): Block[] {
  const found: Block[] = []
  let paragraph: string[] = []
  const endParagraph = () => {
    if (paragraph.length > 0) found.push({ type: 'paragraph', children: inlineLines(paragraph) })
    paragraph = []
  }
  let at = 0
  const take = (pattern: RegExp, group: number): string[] => {
    const taken: string[] = []
    for (let match; at < lines.length && (match = pattern.exec(lines[at] ?? '')); at++) taken.push(match[group] ?? '')
    return taken
  }
  while (at < lines.length) {
    const line = lines[at] ?? ''
    const fence = FENCE.exec(line)
    const close = fence ? lines.findIndex((other, index) => index > at && other.trim() === fence[1]) : -1
    if (fence && close !== -1) {
      endParagraph()
      found.push({ type: 'code', language: fence[2] ?? '', text: lines.slice(at + 1, close).join('\n') })
      at = close + 1
    } else if (QUOTE.test(line) && depth < NESTING_MAX) {
      endParagraph()
      found.push({ type: 'quote', children: blocks(take(QUOTE, 1), depth + 1) })
    } else if (BULLET.test(line)) {
      endParagraph()
      found.push({ type: 'list', ordered: false, start: 1, items: take(BULLET, 1).map((item) => inline(item)) })
    } else if (NUMBER.test(line)) {
      endParagraph()
      const start = Number(NUMBER.exec(line)?.[1] ?? 1)
      found.push({ type: 'list', ordered: true, start, items: take(NUMBER, 2).map((item) => inline(item)) })
    } else {
      if (line.trim() === '') endParagraph()
      else paragraph.push(line)
      at += 1
    }
  }
  endParagraph()
  return found
}

function inlineLines(lines: string[]): Inline[] {
  return inline(lines.join('\n'))
}

interface Rule {
  pattern: RegExp
  make: (match: RegExpExecArray, depth: number) => Inline
}

/** Tried at every position in this order. Each pattern is sticky, and none of them backtracks over the whole text. */
const RULES: Rule[] = [
  { pattern: /\n/y, make: () => ({ type: 'break' }) },
  { pattern: /``([^\n]{1,4000}?)``/y, make: ([, text]) => ({ type: 'code', text: text ?? '' }) },
  { pattern: /`([^`\n]+)`/y, make: ([, text]) => ({ type: 'code', text: text ?? '' }) },
  {
    pattern: /\[([^[\]\n]{1,500})\]\((https?:\/\/[^\s()<>]{1,2000}|mailto:[^\s()<>]{1,500})\)/y,
    make: ([, label, href], depth) => ({ type: 'link', href: href ?? '', children: inline(label ?? '', depth + 1) }),
  },
  {
    pattern: /https?:\/\/[^\s<>"'`]{1,2000}/y,
    make: ([href]) => ({ type: 'link', href, children: [{ type: 'text', text: href }] }),
  },
  { pattern: /\*\*(?=\S)([^\n]{1,4000}?\S|\S)\*\*/y, make: ([, text], depth) => ({ type: 'strong', children: inline(text ?? '', depth + 1) }) },
  { pattern: /~~(?=\S)([^\n]{1,4000}?\S|\S)~~/y, make: ([, text], depth) => ({ type: 'strike', children: inline(text ?? '', depth + 1) }) },
  { pattern: /\*(?=[^\s*])([^\n*]{0,4000}[^\s*])\*/y, make: ([, text], depth) => ({ type: 'emphasis', children: inline(text ?? '', depth + 1) }) },
  { pattern: /_(?=[^\s_])([^\n_]{0,4000}[^\s_])_(?!\w)/y, make: ([, text], depth) => ({ type: 'emphasis', children: inline(text ?? '', depth + 1) }) },
  { pattern: /@(\w[\w-]{0,31})/y, make: ([, username]) => ({ type: 'mention', username: username ?? '' }) },
]

const SPECIAL = /[\n`[h*~_@]/
const WORD_BEFORE = /[\w@]/

export function inline(source: string, depth = 0): Inline[] {
  if (depth > NESTING_MAX) return [{ type: 'text', text: source }]
  const found: Inline[] = []
  let plain = ''
  let at = 0
  while (at < source.length) {
    const char = source.charAt(at)
    const made = SPECIAL.test(char) ? match(source, at, depth) : null
    if (!made) {
      plain += char
      at += 1
      continue
    }
    if (plain !== '') found.push({ type: 'text', text: plain })
    plain = ''
    found.push(made.inline)
    at = made.end
  }
  if (plain !== '') found.push({ type: 'text', text: plain })
  return found
}

function match(source: string, at: number, depth: number): { inline: Inline; end: number } | null {
  const char = source.charAt(at)
  const insideWord = at > 0 && WORD_BEFORE.test(source.charAt(at - 1))
  if (insideWord && (char === '_' || char === '@' || char === 'h')) return null
  for (const { pattern, make } of RULES) {
    pattern.lastIndex = at
    const found = pattern.exec(source)
    if (!found) continue
    if (!found[0].startsWith('http')) return { inline: make(found, depth), end: at + found[0].length }
    // A full stop or bracket after an address belongs to the sentence.
    found[0] = found[0].replace(/[.,;:!?)\]}*_~]+$/, '')
    return { inline: make(found, depth), end: at + found[0].length }
  }
  return null
}
