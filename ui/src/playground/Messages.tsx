import { useState } from 'react'
import { useWords } from '../i18n'
import { count } from '../i18n/numbers'
import { Button, IconButton } from '../parts/controls'
import { Trouble } from '../parts/display'
import { Icon } from '../parts/icons'
import { Markdown } from '../parts/Markdown'
import { HostError, type NetworkView } from '../platform'
import { type Conversation, type Node, siblings } from './conversation'

interface Does {
  show: (id: string) => void
  edit: (node: Node, text: string) => void
  again: (question: string) => void
}

export function Messages(props: { conversation: Conversation; shown: Node[]; network: NetworkView | undefined; does: Does }) {
  return (
    <ol className="space-y-6">
      {props.shown.map((node) => (
        <li key={node.id}>{node.role === 'user' ? <Question node={node} {...props} /> : <Answer node={node} {...props} />}</li>
      ))}
    </ol>
  )
}

function Branches(props: { conversation: Conversation; node: Node; does: Does }) {
  const { t } = useWords()
  const all = siblings(props.conversation, props.node)
  const at = all.findIndex((node) => node.id === props.node.id)
  if (all.length < 2) return null
  const step = (by: number) => () => props.does.show(all[at + by]!.id)
  return (
    <span className="inline-flex items-center text-sm text-soft">
      <IconButton icon="back" label={t('chat.earlier')} disabled={at === 0} onClick={step(-1)} />
      <span className="figures">
        {at + 1}/{all.length}
      </span>
      <IconButton icon="next" label={t('chat.later')} disabled={at === all.length - 1} onClick={step(1)} />
    </span>
  )
}

function Question(props: { conversation: Conversation; node: Node; does: Does }) {
  const { t } = useWords()
  const { node } = props
  const [draft, setDraft] = useState<string | null>(null)
  if (draft !== null) {
    return (
      <form
        className="rounded-lg bg-well p-4"
        onSubmit={(event) => {
          event.preventDefault()
          props.does.edit(node, draft)
          setDraft(null)
        }}
      >
        <label className="sr-only" htmlFor={`edit-${node.id}`}>
          {t('chat.edit')}
        </label>
        <textarea id={`edit-${node.id}`} autoFocus rows={3} value={draft} onChange={(event) => setDraft(event.target.value)} className="w-full rounded-md border border-edge bg-sheet p-2" />
        <div className="mt-2 flex gap-2">
          <Button type="submit" kind="main" disabled={draft.trim() === ''}>
            {t('chat.ask')}
          </Button>
          <Button onClick={() => setDraft(null)}>{t('cancel')}</Button>
        </div>
      </form>
    )
  }
  return (
    <div className="ms-auto w-fit max-w-[85%]">
      <div className="rounded-lg rounded-ee-sm bg-ember-wash px-4 py-3 break-words whitespace-pre-wrap">{node.text}</div>
      <div className="mt-1 flex justify-end">
        <Branches {...props} />
        <IconButton icon="edit" label={t('chat.edit')} onClick={() => setDraft(node.text)} />
      </div>
    </div>
  )
}

function Answer(props: { conversation: Conversation; node: Node; network: NetworkView | undefined; does: Does }) {
  const { t, locale } = useWords()
  const { node } = props
  const live = node.state === 'waiting' || node.state === 'running'
  const summary = node.summary
  const speed = summary && summary.total_ms > summary.first_ms ? ((summary.tokens - 1) * 1000) / (summary.total_ms - summary.first_ms) : null
  const name = (id: string) => props.network?.nodes.find((peer) => peer.id === id)?.name ?? id.slice(-6)
  return (
    <article aria-busy={live} aria-label={t('chat.answer_of', { model: node.model ?? '' })} className="min-w-0">
      {node.text === '' && live ? (
        <p className="flex gap-1.5 py-2" aria-hidden="true">
          {[0, 1, 2].map((dot) => (
            <span key={dot} className="size-2 rounded-full bg-ember motion-safe:animate-[breathe_1.200s_ease-in-out_infinite]" style={{ animationDelay: `${dot * 160}ms` }} />
          ))}
        </p>
      ) : (
        <Markdown text={node.text} />
      )}
      {node.problem ? (
        <div className="mt-3">
          <Trouble error={new HostError(node.problem)} retry={() => node.parent && props.does.again(node.parent)} />
        </div>
      ) : null}
      {live ? null : (
        <footer className="mt-2 flex flex-wrap items-center gap-x-3 gap-y-1 text-sm text-soft">
          <Branches {...props} />
          <IconButton icon="copy" label={t('copy')} onClick={() => void navigator.clipboard.writeText(node.text)} />
          <IconButton icon="again" label={t('chat.again')} onClick={() => node.parent && props.does.again(node.parent)} />
          {node.state === 'stopped' ? <span>{t('chat.stopped')}</span> : null}
          {summary?.finish === 'length' ? <span>{t('chat.cut')}</span> : null}
          {summary ? <span className="figures">{t('chat.took', { tokens: summary.tokens, speed: speed === null ? '–' : count(speed, locale, 1), first: count(summary.first_ms, locale) })}</span> : null}
          {summary && summary.shards.length > 0 ? (
            <details>
              <summary className="inline-flex items-center gap-1">
                <Icon name="pools" /> {t('chat.by', { count: summary.shards.length })}
              </summary>
              <ul className="mt-1">
                {summary.shards.map((shard) => (
                  <li key={shard.node + shard.from} className="figures">
                    {t('chat.shard', { name: name(shard.node), from: shard.from, to: shard.to, compute: count(shard.compute_ms, locale, 1), hop: count(shard.hop_ms, locale, 1) })}
                  </li>
                ))}
              </ul>
            </details>
          ) : null}
        </footer>
      )}
    </article>
  )
}
