import { useQueryClient } from '@tanstack/react-query'
import { useCallback, useEffect, useState } from 'react'
import { Link } from '@tanstack/react-router'
import { useWords } from '../i18n'
import { Button, Choice, IconButton } from '../parts/controls'
import { Answered, Badge, Empty, Money, Trouble } from '../parts/display'
import type { Offer, Sampling } from '../platform'
import { useAsk, useDo } from '../state/host'
import { NEW_CONVERSATION } from '../app/Shortcuts'
import { Messages } from './Messages'
import { Panel } from './Panel'
import { Threads } from './Threads'
import { useConversation } from './useConversation'

const usual: Sampling = { temperature: 0.7, top_p: null, top_k: null, max_tokens: 512, seed: null }

export function PlaygroundPage() {
  const offer = useAsk('offer', {})
  const { t } = useWords()
  return (
    <div className="flex h-screen max-md:h-[calc(100vh-7rem)]">
      <h1 tabIndex={-1} className="sr-only">
        {t('nav.chat')}
      </h1>
      <Answered of={offer} rows={8}>
        {(offer) =>
          offer.models.length === 0 ? (
            <div className="grow p-8">
              <Empty title={t('chat.nobody')}>{t('home.no_ring_more')}</Empty>
            </div>
          ) : (
            <Playground offer={offer} />
          )
        }
      </Answered>
    </div>
  )
}

function Playground(props: { offer: Offer }) {
  const { t } = useWords()
  const [thread, setThread] = useState<string>(() => crypto.randomUUID())
  const [model, setModel] = useState(props.offer.models[0]!.id)
  const [other, setOther] = useState<string | null>(null)
  const [sampling, setSampling] = useState(usual)
  const [panel, setPanel] = useState(false)
  const [list, setList] = useState(false)
  const queries = useQueryClient()
  const kept = useCallback(() => void queries.invalidateQueries({ queryKey: ['threads'] }), [queries])
  const main = useConversation(thread, kept)
  // Beside it, another model answers the same questions; kept as a conversation of its own.
  const beside = useConversation(`${thread.slice(0, 28)}-beside`, kept)
  const network = useAsk('network', {}).data
  const options = props.offer.models.map((it) => [it.id, it.id] as const)

  const stop = useCallback(() => {
    main.stop()
    beside.stop()
  }, [main, beside])
  const busy = main.busy.length + beside.busy.length > 0
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && busy) stop()
    }
    window.addEventListener('keydown', pressed)
    return () => window.removeEventListener('keydown', pressed)
  }, [busy, stop])

  useEffect(() => {
    const anew = () => setThread(crypto.randomUUID())
    window.addEventListener(NEW_CONVERSATION, anew)
    return () => window.removeEventListener(NEW_CONVERSATION, anew)
  }, [])

  const ask = (text: string) => {
    main.ask(text, { model, sampling })
    if (other !== null) beside.ask(text, { model: other, sampling })
  }
  const column = (of: typeof main, model: string) => (
    <div className="min-w-0 grow basis-0 overflow-y-auto px-5 py-6">
      <div className="mx-auto max-w-3xl">
        {of.trouble ? <Trouble error={of.trouble} /> : null}
        {of.shown.length === 0 ? (
          <Empty title={t('chat.begin')}>{t('chat.begin_more')}</Empty>
        ) : (
          <Messages
            conversation={of.conversation}
            shown={of.shown}
            network={network}
            does={{
              show: of.show,
              edit: (node, text) => of.ask(text, { model, sampling }, node.parent),
              again: (question) => of.again(question, { model, sampling }),
            }}
          />
        )}
      </div>
    </div>
  )
  return (
    <>
      <Threads
        shown={list}
        chosen={thread}
        onChoose={(id) => {
          setThread(id)
          setList(false)
        }}
      />
      <section className="flex min-w-0 grow flex-col" aria-label={t('nav.chat')}>
        <header className="flex flex-wrap items-end gap-3 border-b border-line px-5 py-3">
          <IconButton icon="menu" label={t('chat.threads')} pressed={list} onClick={() => setList(!list)} className="lg:hidden" />
          <Choice label={t('chat.model')} value={model} onChange={setModel} options={options} className="max-w-72" />
          {other !== null ? <Choice label={t('chat.beside')} value={other} onChange={setOther} options={options} className="max-w-72" /> : null}
          <span className="grow" />
          <Meter />
          <IconButton icon="split" label={t('chat.compare')} pressed={other !== null} onClick={() => setOther(other === null ? (props.offer.models[1]?.id ?? model) : null)} />
          <IconButton icon="settings" label={t('chat.panel')} pressed={panel} onClick={() => setPanel(!panel)} />
        </header>
        <div className="flex min-h-0 grow divide-x divide-line">
          {column(main, model)}
          {other !== null ? column(beside, other) : null}
        </div>
        <Composer offer={props.offer} busy={busy} onAsk={ask} onStop={stop} />
        <p role="status" className="sr-only">
          {busy ? t('chat.started') : main.shown.length > 0 ? t('chat.finished') : ''}
        </p>
      </section>
      {panel ? <Panel offer={props.offer} model={model} sampling={sampling} onSampling={setSampling} of={main} onClose={() => setPanel(false)} /> : null}
    </>
  )
}

function Composer(props: { offer: Offer; busy: boolean; onAsk: (text: string) => void; onStop: () => void }) {
  const { t } = useWords()
  const [text, setText] = useState('')
  const settings = useAsk('settings_get', {})
  const consents = useAsk('consents', {})
  const agreed = (scope: string) => consents.data?.find((card) => card.scope === scope)?.agreed ?? false
  const paying = props.offer.paid
  const wallet = settings.data?.using.wallet ?? null
  const missing = !agreed('ask') ? 'ask' : paying && wallet === null ? 'wallet' : paying && !agreed('pay') ? 'pay' : null
  const send = () => {
    if (text.trim() === '' || missing !== null) return
    props.onAsk(text.trim())
    setText('')
  }
  return (
    <div className="border-t border-line px-5 py-3">
      <div className="mx-auto max-w-3xl">
        {missing !== null && consents.data ? (
          <p className="mb-2 rounded-md bg-sun-wash px-4 py-2 text-sm">
            {t(`chat.missing_${missing}`)}{' '}
            <Link to={missing === 'wallet' ? '/wallet' : '/privacy'} className="font-semibold text-ember underline">
              {missing === 'wallet' ? t('nav.wallet') : t('nav.privacy')}
            </Link>
          </p>
        ) : null}
        <div className="flex items-end gap-2 rounded-lg border border-edge bg-sheet p-2 focus-within:border-ember">
          <label htmlFor="question" className="sr-only">
            {t('chat.question')}
          </label>
          <textarea
            id="question"
            rows={Math.min(8, Math.max(1, text.split('\n').length))}
            value={text}
            placeholder={t('chat.question')}
            onChange={(event) => setText(event.target.value)}
            onKeyDown={(event) => {
              if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
                event.preventDefault()
                send()
              }
            }}
            className="grow resize-none bg-transparent px-2 py-1.5 outline-none"
          />
          {props.busy ? (
            <Button icon="stop" onClick={props.onStop}>
              {t('chat.stop')}
            </Button>
          ) : (
            <Button kind="main" icon="send" disabled={text.trim() === '' || missing !== null} onClick={send}>
              {t('chat.ask')}
            </Button>
          )}
        </div>
        <p className="mt-2 flex flex-wrap items-center gap-2 text-xs text-soft">
          <Badge tone="ember">{t('chat.pool')}</Badge>
          {t('chat.who_sees')}
          {paying && props.offer.per_hour ? (
            <span>
              {t('chat.costs')} <Money sum={props.offer.per_hour} digits={3} />
            </span>
          ) : null}
        </p>
      </div>
    </div>
  )
}

/** What the session has cost so far, while one is open. */
function Meter() {
  const { t } = useWords()
  const session = useAsk('chat_session', {})
  const close = useDo('chat_session_close', ['chat_session', 'wallet_balances'])
  if (!session.data) return null
  return (
    <div className="flex items-center gap-3 rounded-md bg-tide-wash px-3 py-1.5 text-sm">
      <span>
        {t('chat.cost')} <Money sum={session.data.cost} digits={6} /> / <Money sum={session.data.paid_in} digits={2} />
      </span>
      <Button kind="quiet" busy={close.isPending} onClick={() => close.mutate({})}>
        {t('chat.close')}
      </Button>
    </div>
  )
}
