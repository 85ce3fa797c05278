import { expect, it } from 'vitest'
import { type Block, type Inline, parse } from './markdown'

/** Writes the tree as one line: `p(…)` for blocks, `b(…)` `i(…)` `s(…)` `code(…)` `link(…)` `@name` inside. */
function check(source: string, expected: string) {
  expect(parse(source).map(block).join(' ')).toBe(expected)
}

function block(node: Block): string {
  switch (node.type) {
    case 'paragraph':
      return `p(${inlines(node.children)})`
    case 'code':
      return `pre[${node.language}](${node.text})`
    case 'quote':
      return `quote(${node.children.map(block).join(' ')})`
    case 'list':
      return `${node.ordered ? `ol${node.start}` : 'ul'}(${node.items.map(inlines).join('; ')})`
  }
}

function inlines(nodes: Inline[]): string {
  return nodes.map((node) => {
    switch (node.type) {
      case 'text':
        return node.text
      case 'break':
        return '/'
      case 'code':
        return `code(${node.text})`
      case 'strong':
        return `b(${inlines(node.children)})`
      case 'emphasis':
        return `i(${inlines(node.children)})`
      case 'strike':
        return `s(${inlines(node.children)})`
      case 'link':
        return `link(${node.href} ${inlines(node.children)})`
      case 'mention':
        return `@(${node.username})`
    }
  }).join('')
}

it.each([
  ['plain', 'p(plain)'],
  ['two\nlines', 'p(two/lines)'],
  ['one\n\ntwo', 'p(one) p(two)'],
  ['**bold** _it_ *it* ~~gone~~', 'p(b(bold) i(it) i(it) s(gone))'],
  ['**bold with _both_**', 'p(b(bold with i(both)))'],
  ['`code **not bold**`', 'p(code(code **not bold**))'],
  ['``a ` b``', 'p(code(a ` b))'],
  ['```rust\nfn main() {}\n  **x**\n```', 'pre[rust](fn main() {}\n  **x**)'],
  ['before\n```\ncode\n```\nafter', 'p(before) pre[](code) p(after)'],
  ['> quoted\n> more\nnot', 'quote(p(quoted/more)) p(not)'],
  ['> > twice', 'quote(quote(p(twice)))'],
  ['- one\n- **two**', 'ul(one; b(two))'],
  ['3. three\n4. four', 'ol3(three; four)'],
  ['[docs](https://example.org/a)', 'p(link(https://example.org/a docs))'],
  ['see https://example.org/a_b, please.', 'p(see link(https://example.org/a_b https://example.org/a_b), please.)'],
  ['(https://example.org)', 'p((link(https://example.org https://example.org)))'],
  ['@alice and @bob-2', 'p(@(alice) and @(bob-2))'],
])('%j is read as %s', check)

it.each([
  ['**open', 'p(**open)'],
  ['2 * 3 * 4', 'p(2 * 3 * 4)'],
  ['snake_case_name', 'p(snake_case_name)'],
  ['```\nnever closed', 'p(```/never closed)'],
  ['`open', 'p(`open)'],
  ['mail@example.org', 'p(mail@example.org)'],
  ['[x](javascript:alert(1))', 'p([x](javascript:alert(1)))'],
  ['[x](data:text/html,x)', 'p([x](data:text/html,x))'],
  ['<b>not html</b>', 'p(<b>not html</b>)'],
  ['', ''],
])('%j stays as it was typed', check)

it('does not slow down on hostile text', () => {
  for (const piece of ['*', '**', '_', '~~', '[', '`', '> ', '@', 'http://', '*a', '**a', '[a](']) {
    parse(piece.repeat(Math.floor(16_384 / piece.length)))
  }
})
