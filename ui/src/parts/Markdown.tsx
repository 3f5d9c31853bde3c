// An answer's text. No raw HTML, no pictures from elsewhere; links open outside.
import { memo, type ReactNode, useState } from 'react'
import ReactMarkdown, { type Components } from 'react-markdown'
import rehypeKatex from 'rehype-katex'
import remarkGfm from 'remark-gfm'
import remarkMath from 'remark-math'
import { useWords } from '../i18n'
import { usePlatform } from '../platform'
import { Icon } from './icons'

/** Blocks that will not change any more, so that only the last is made anew with each token. */
export function blocks(text: string): string[] {
  const found: string[] = []
  let fence: string | null = null
  let math = false
  let current: string[] = []
  for (const line of text.split('\n')) {
    const mark: string | undefined = /^\s{0,3}(```+|~~~+)/.exec(line)?.[1]
    if (mark && fence === null) fence = mark
    else if (mark && fence !== null && mark.startsWith(fence)) fence = null
    else if (fence === null && line.trim() === '$$') math = !math
    if (fence === null && !math && line.trim() === '' && current.length > 0) {
      found.push(current.join('\n'))
      current = []
    } else current.push(line)
  }
  if (current.length > 0) found.push(current.join('\n'))
  return found
}

function Code(props: { children?: ReactNode }) {
  const { t } = useWords()
  const [copied, setCopied] = useState(false)
  const text = (node: ReactNode): string =>
    typeof node === 'string' ? node : Array.isArray(node) ? node.map(text).join('') : node && typeof node === 'object' && 'props' in node ? text((node.props as { children?: ReactNode }).children) : ''
  const copy = () => void navigator.clipboard.writeText(text(props.children)).then(() => setCopied(true))
  return (
    <div className="relative">
      <pre tabIndex={0} className="overflow-x-auto rounded-md bg-well p-3 pe-12 font-mono text-sm">
        {props.children}
      </pre>
      <button type="button" onClick={copy} aria-label={copied ? t('copied') : t('copy.code')} className="absolute end-2 top-2 rounded-md bg-sheet p-1.5 text-soft hover:text-ink">
        <Icon name={copied ? 'check' : 'copy'} />
      </button>
    </div>
  )
}

const Block = memo(function Block(props: { text: string }) {
  const host = usePlatform()
  const components: Components = {
    pre: ({ children }) => <Code>{children}</Code>,
    img: ({ alt }) => <span>{alt}</span>,
    a: ({ href, children }) => (
      <a
        href={href}
        rel="noreferrer"
        onClick={(event) => {
          event.preventDefault()
          if (href && /^https?:/.test(href)) host.open(href)
        }}
      >
        {children}
      </a>
    ),
  }
  return (
    <ReactMarkdown remarkPlugins={[remarkGfm, remarkMath]} rehypePlugins={[[rehypeKatex, { throwOnError: false, trust: false, maxExpand: 200 }]]} components={components}>
      {props.text}
    </ReactMarkdown>
  )
})

export function Markdown(props: { text: string }) {
  return (
    <div className="prose-answer min-w-0 break-words">
      {blocks(props.text).map((text, index) => (
        <Block key={index} text={text} />
      ))}
    </div>
  )
}
