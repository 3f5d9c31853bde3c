// Six short steps. Each is kept as it is taken, every one can be skipped, and nothing is switched on by going through them.
import { useEffect, useRef } from 'react'
import { useWords } from '../i18n'
import { bytes } from '../i18n/numbers'
import { Button, Card } from '../parts/controls'
import { Answered, Badge, Trouble } from '../parts/display'
import { Icon, Mark } from '../parts/icons'
import type { Settings } from '../platform'
import { useAsk, useDo, useHostEvents } from '../state/host'
import { Downloads } from './Downloads'
import { WalletImport } from './WalletImport'
import { Forecast } from './Forecast'
import { Consents } from './Privacy'
import { Backup, NewWallet } from './WalletKeys'

const STEPS = 6

export function Onboarding(props: { settings: Settings }) {
  const { t } = useWords()
  useHostEvents()
  const { setup } = props.settings
  const step = Math.min(setup.step, STEPS - 1)
  const save = useDo('settings_set', ['settings_get', 'status'])
  const title = useRef<HTMLHeadingElement>(null)
  const set = (change: Partial<Settings['setup']>) => save.mutate({ settings: { ...props.settings, setup: { ...setup, ...change } } })
  const names = ['what', 'machine', 'intent', 'wallet', 'consent', 'model'] as const
  useEffect(() => title.current?.focus(), [step])
  const bodies = [<What key="what" />, <Machine key="machine" />, <Intent key="intent" chosen={setup.intent} onChoose={(intent) => set({ intent, step: 3 })} />, <Wallet key="wallet" />, <Consent key="consent" intent={setup.intent} />, <Model key="model" />]
  return (
    <main className="mx-auto flex min-h-screen max-w-3xl flex-col px-5 py-8">
      <header className="mb-8 flex items-center gap-3 font-display font-semibold">
        <Mark className="size-8" /> <span className="grow">ComputePool</span>
        <Button kind="quiet" onClick={() => set({ done: true })}>
          {t('setup.skip_all')}
        </Button>
      </header>
      <ol aria-label={t('setup.steps')} className="mb-6 flex gap-2">
        {names.map((name, index) => (
          <li key={name} aria-current={index === step ? 'step' : undefined} className="grow">
            <span className={`block h-1.5 rounded-full ${index <= step ? 'bg-ember' : 'bg-line'}`} />
            <span className="sr-only">{t(`setup.${name}`)}</span>
          </li>
        ))}
      </ol>
      <h1 ref={title} tabIndex={-1} className="mb-5 text-3xl font-semibold outline-none">
        {t(`setup.${names[step]!}`)}
      </h1>
      <div className="grow space-y-5">{bodies[step]}</div>
      {save.error ? <Trouble error={save.error} /> : null}
      <footer className="mt-8 flex items-center justify-between gap-3">
        <Button kind="quiet" disabled={step === 0} onClick={() => set({ step: step - 1 })}>
          {t('back')}
        </Button>
        <span className="text-sm text-soft">{t('setup.of', { step: step + 1, steps: STEPS })}</span>
        <Button kind="main" busy={save.isPending} onClick={() => (step === STEPS - 1 ? set({ done: true }) : set({ step: step + 1 }))}>
          {step === STEPS - 1 ? t('setup.finish') : t('next')}
        </Button>
      </footer>
    </main>
  )
}

/** What it does, in one picture. */
function What() {
  const { t } = useWords()
  const homes = [
    { x: 110, y: 70, name: t('setup.card', { number: 1 }) },
    { x: 320, y: 70, name: t('ring.mine') },
    { x: 530, y: 70, name: t('setup.card', { number: 3 }) },
  ]
  return (
    <>
      <svg viewBox="0 0 640 190" role="img" aria-label={t('setup.picture')} className="w-full rounded-lg border border-line bg-sheet">
        <path d="M110 70H530C610 70 610 140 530 140H110C30 140 30 70 110 70" fill="none" className="stroke-line" strokeWidth="3" />
        <circle r="6" className="fill-ember motion-safe:animate-[travel_4s_linear_3] motion-reduce:hidden" style={{ offsetPath: "path('M110 70H530C610 70 610 140 530 140H110C30 140 30 70 110 70')" }} />
        {homes.map((home, index) => (
          <g key={home.name}>
            <rect x={home.x - 70} y={home.y - 34} width="140" height="68" rx="14" className={index === 1 ? 'fill-ember' : 'fill-well stroke-edge'} />
            <text x={home.x} y={home.y + 5} textAnchor="middle" className={`text-[15px] font-semibold ${index === 1 ? 'fill-ember-ink' : 'fill-ink'}`}>
              {home.name}
            </text>
          </g>
        ))}
        <text x="320" y="166" textAnchor="middle" className="fill-soft text-[14px]">
          {t('setup.tokens_back')}
        </text>
      </svg>
      <p className="max-w-prose text-lg">{t('setup.what_more')}</p>
    </>
  )
}

/** What was found, line by line. */
function Machine() {
  const { t, locale } = useWords()
  const status = useAsk('status', {})
  return (
    <Card>
      <Answered of={status} rows={5}>
        {({ machine }) => {
          const lines: [string, string, boolean][] = machine.gpus.map((gpu) => [gpu.name, gpu.memory_total === null ? t('found') : bytes(gpu.memory_total, locale), true])
          if (machine.gpus.length === 0) lines.push([t('setup.gpu'), t('setup.no_gpu'), true])
          lines.push([t('setup.power'), machine.on_battery ? t('setup.on_battery') : t('setup.on_mains'), !machine.on_battery])
          lines.push([t('setup.input'), machine.idle_s === null ? t('setup.no_input') : t('found'), machine.idle_s !== null])
          for (const blind of machine.cannot_tell.filter((blind) => blind.what === 'input')) lines.push(['', blind.why, false])
          return (
            <ul className="divide-y divide-line">
              {lines.map(([name, value, good], index) => (
                <li key={name + value} className="flex items-center gap-3 py-3 motion-safe:animate-[breathe_0.600s_ease-out_1]" style={{ animationDelay: `${index * 120}ms` }}>
                  <Icon name={good ? 'check' : 'close'} className={good ? 'text-tide' : 'text-sun'} />
                  <span className="grow font-medium">{name}</span>
                  <span className="text-end text-soft">{value}</span>
                </li>
              ))}
            </ul>
          )
        }}
      </Answered>
    </Card>
  )
}

function Intent(props: { chosen: Settings['setup']['intent']; onChoose: (intent: 'use' | 'share' | 'both') => void }) {
  const { t } = useWords()
  return (
    <div className="grid gap-4 sm:grid-cols-3">
      {(['use', 'share', 'both'] as const).map((intent) => (
        <button key={intent} type="button" aria-pressed={props.chosen === intent} onClick={() => props.onChoose(intent)} className="rounded-lg border border-edge bg-sheet p-5 text-start transition hover:border-ember aria-pressed:border-ember aria-pressed:bg-ember-wash">
          <Icon name={intent === 'use' ? 'chat' : intent === 'share' ? 'earn' : 'pools'} className="!size-7 text-ember" />
          <span className="mt-3 block font-display text-lg font-semibold">{t(`intent.${intent}`)}</span>
          <span className="mt-1 block text-sm text-soft">{t(`intent.${intent}_more`)}</span>
        </button>
      ))}
    </div>
  )
}

function Wallet() {
  const { t } = useWords()
  const wallets = useAsk('wallets', {})
  return (
    <Answered of={wallets}>
      {(wallets) =>
        wallets.length === 0 ? (
          <>
            <p className="max-w-prose">{t('setup.wallet_more')}</p>
            <NewWallet first onMade={() => {}} />
            <WalletImport onMade={() => {}} />
          </>
        ) : (
          wallets.map((wallet) => (
            <Card key={wallet.name} title={wallet.name} action={wallet.backed_up_ms ? <Badge tone="tide">{t('wallet.backed_up')}</Badge> : null}>
              <code className="block truncate text-sm text-soft">{wallet.account}</code>
              {wallet.backed_up_ms ? null : (
                <div className="mt-4">
                  <Backup wallet={wallet} />
                </div>
              )}
            </Card>
          ))
        )
      }
    </Answered>
  )
}

function Consent(props: { intent: Settings['setup']['intent'] }) {
  const { t } = useWords()
  const wanted = { use: ['ask', 'pay'], share: ['share', 'reach'], both: ['share', 'reach', 'ask', 'pay'] } as const
  return (
    <>
      <p className="max-w-prose">{t('setup.consent_more')}</p>
      {props.intent === 'use' ? null : <Forecast />}
      <Consents only={[...wanted[props.intent ?? 'both']]} />
    </>
  )
}

function Model() {
  const { t, locale } = useWords()
  const offer = useAsk('offer', {})
  const models = useAsk('models', { tokens: 4096 })
  return (
    <>
      <Card title={t('setup.models_asked')}>
        <Answered of={offer}>
          {(offer) => (
            <ul className="space-y-2">
              {offer.models.map((model) => (
                <li key={model.id} className="flex justify-between gap-3">
                  <code>{model.id}</code>
                  <Badge tone={model.available ? 'tide' : 'sun'}>{model.available ? t('answers') : t('silent')}</Badge>
                </li>
              ))}
            </ul>
          )}
        </Answered>
      </Card>
      <Downloads />
      <Card title={t('setup.models_here')}>
        <Answered of={models}>
          {(models) => (
            <ul className="space-y-2">
              {models.map((model) => (
                <li key={model.hash} className="flex justify-between gap-3">
                  <code>{model.id}</code>
                  <span className="text-soft">
                    {bytes(model.weights, locale)} · {t(`fit.${model.fit}`, { count: model.machines })}
                  </span>
                </li>
              ))}
              {models.length === 0 ? <li className="text-soft">{t('models.none_more')}</li> : null}
            </ul>
          )}
        </Answered>
      </Card>
    </>
  )
}
