import { Link } from '@tanstack/react-router'
import { because, sentence } from '../app/reasons'
import { useWords } from '../i18n'
import { bytes, count, percent } from '../i18n/numbers'
import { Button, Card, Switch } from '../parts/controls'
import { Answered, Empty, Meter, Money, Page, Stat, Trouble } from '../parts/display'
import { Face, Icon } from '../parts/icons'
import { Ring } from '../parts/Ring'
import type { Gpu, Status } from '../platform'
import { useAsk, useDo } from '../state/host'

export function HomePage() {
  const { t } = useWords()
  const status = useAsk('status', {})
  return (
    <Page title={t('nav.home')} wide>
      <Answered of={status}>
        {(status) => (
          <>
            {status.invited ? <Invite link={status.invited} /> : null}
            <NoTray />
            <Hero status={status} />
            <div className="grid gap-5 lg:grid-cols-[3fr_2fr]">
              <RingCard />
              <div className="space-y-5">
                <EarningsCard />
                <MachineCard status={status} />
              </div>
            </div>
          </>
        )}
      </Answered>
    </Page>
  )
}

/** Closing the window hides it; where there is no tray, that is told before it happens. */
function NoTray() {
  const { t } = useWords()
  const host = useAsk('host', {})
  if (host.data?.tray !== false) return null
  return <p className="rounded-md bg-sun-wash p-3 text-sm">{t('shell.no_tray')}</p>
}

/** A link was opened; nothing is joined by that alone. */
function Invite(props: { link: string }) {
  const { t } = useWords()
  const answer = useDo('invite_answer', ['status', 'settings_get'])
  return (
    <Card title={t('invite.title')}>
      <p>{t('invite.more')}</p>
      <code className="mt-2 block truncate text-xs text-soft">{props.link}</code>
      <div className="mt-4 flex gap-2">
        <Button kind="main" busy={answer.isPending} onClick={() => answer.mutate({ join: true })}>
          {t('invite.join')}
        </Button>
        <Button onClick={() => answer.mutate({ join: false })}>{t('invite.dismiss')}</Button>
      </div>
      {answer.error ? <Trouble error={answer.error} /> : null}
    </Card>
  )
}

/** The one sentence, its reason, and the switch. */
function Hero(props: { status: Status }) {
  const { t, locale } = useWords()
  const { status } = props
  const earn = useDo('earn_set', ['status'])
  const pause = useDo('pause', ['status'])
  const resume = useDo('resume', ['status'])
  const minutes = (minutes: number) => pause.mutate({ length: { kind: 'minutes', minutes }, finish: false })
  const failed = earn.error ?? pause.error ?? resume.error
  return (
    <Card>
      <div className="flex flex-wrap items-center gap-5">
        <Face face={status.face} className="!size-12" />
        <div className="min-w-0 grow basis-72">
          <p role="status" className="font-display text-xl font-semibold text-balance">
            {sentence(status, t, locale)}
          </p>
          {status.further.map((reason) => (
            <p key={reason.code} className="text-sm text-soft">
              {t('also', { reason: because(reason, t, locale) })}
            </p>
          ))}
        </div>
        <div className="min-w-40">
          <Switch large label={t('earn')} on={status.earn} disabled={earn.isPending} onChange={(on) => earn.mutate({ on })} />
        </div>
      </div>
      {status.earn ? (
        <div className="mt-4 flex flex-wrap gap-2">
          {status.pause ? (
            <Button icon="again" onClick={() => resume.mutate({})}>
              {t('resume')}
            </Button>
          ) : (
            <>
              <Button onClick={() => minutes(60)}>{t('pause.hour')}</Button>
              <Button onClick={() => minutes(240)}>{t('pause.hours')}</Button>
              <Button onClick={() => pause.mutate({ length: { kind: 'tomorrow' }, finish: false })}>{t('pause.tomorrow')}</Button>
              <Button onClick={() => pause.mutate({ length: { kind: 'until_resumed' }, finish: true })}>{t('pause.finish')}</Button>
            </>
          )}
        </div>
      ) : null}
      {status.reason.code === 'not_agreed' ? (
        <p className="mt-3 text-sm">
          <Link to="/privacy" className="text-ember underline">
            {t('home.agree')}
          </Link>
        </p>
      ) : null}
      {failed ? (
        <div className="mt-4">
          <Trouble error={failed} />
        </div>
      ) : null}
    </Card>
  )
}

function RingCard() {
  const { t } = useWords()
  const network = useAsk('network', {})
  return (
    <Card title={t('home.ring')}>
      <Answered of={network} rows={5}>
        {(network) => {
          const pool = network.pools.find((pool) => pool.places.length > 0)
          if (!pool) return <Empty title={t('home.no_ring')}>{t('home.no_ring_more')}</Empty>
          return (
            <>
              <p className="text-sm text-soft">{pool.model}</p>
              <Ring network={network} pool={pool} />
              <p className="text-sm text-soft">{t('home.work', { count: network.generations })}</p>
            </>
          )
        }}
      </Answered>
    </Card>
  )
}

function EarningsCard() {
  const { t } = useWords()
  const settings = useAsk('settings_get', {})
  const wallet = settings.data?.sharing.wallet ?? null
  const earnings = useAsk('earnings', {}, wallet !== null)
  if (wallet === null) {
    return (
      <Card title={t('home.earned')}>
        <p className="text-sm text-soft">{t('home.no_wallet')}</p>
        <Link to="/wallet" className="mt-2 inline-flex items-center gap-2 text-sm font-semibold text-ember">
          <Icon name="wallet" /> {t('home.to_wallet')}
        </Link>
      </Card>
    )
  }
  return (
    <Card title={t('home.earned')}>
      <Answered of={earnings}>
        {(earnings) => (
          <dl className="grid grid-cols-2 gap-4">
            <Stat name={t('earn.settled')}>
              <Money sum={earnings.settled} />
            </Stat>
            <Stat name={t('earn.pending')} tone="tide">
              <Money sum={earnings.pending} />
            </Stat>
          </dl>
        )}
      </Answered>
    </Card>
  )
}

function MachineCard(props: { status: Status }) {
  const { t, locale } = useWords()
  const { machine, node, health, carried_bytes } = props.status
  return (
    <Card title={t('home.machine')}>
      <div className="space-y-4">
        {machine.gpus.length === 0 ? <p className="text-sm text-soft">{t('home.no_gpu')}</p> : null}
        {machine.gpus.map((gpu) => (
          <GpuMeters key={gpu.id} gpu={gpu} />
        ))}
        <dl className="grid grid-cols-2 gap-4">
          <Stat name={t('home.engine')}>{node.engine_pid === null ? t('none') : bytes(node.engine_bytes, locale)}</Stat>
          <Stat name={t('home.carried')}>{bytes(carried_bytes, locale)}</Stat>
        </dl>
        <ul className="space-y-1.5 text-sm">
          {health.map((check) => (
            <li key={check.code + check.text} className="flex gap-2">
              <Icon name={check.good ? 'check' : 'close'} className={check.good ? 'mt-0.5 text-soft' : 'mt-0.5 text-rose'} />
              <span className={check.good ? 'text-soft' : ''}>{check.text}</span>
            </li>
          ))}
          {health.length === 0 ? (
            <li className="flex gap-2 text-soft">
              <Icon name="check" className="mt-0.5 text-tide" /> {t('home.all_well')}
            </li>
          ) : null}
        </ul>
      </div>
    </Card>
  )
}

function GpuMeters(props: { gpu: Gpu }) {
  const { t, locale } = useWords()
  const { gpu } = props
  const memory = gpu.memory_total && gpu.memory_used !== null ? gpu.memory_used / gpu.memory_total : null
  return (
    <div className="space-y-2">
      <p className="font-medium">{gpu.name}</p>
      {gpu.utilisation !== null ? <Meter name={t('gpu.busy')} part={gpu.utilisation / 100} text={percent(gpu.utilisation, locale)} /> : null}
      {memory !== null ? <Meter name={t('gpu.memory')} part={memory} text={`${bytes(gpu.memory_used ?? 0, locale)} / ${bytes(gpu.memory_total ?? 0, locale)}`} /> : null}
      {gpu.temperature_c !== null ? <Meter name={t('gpu.heat')} part={gpu.temperature_c / 110} hot={gpu.temperature_c > 85} text={`${count(gpu.temperature_c, locale)} °C`} /> : null}
      {gpu.watts !== null ? <Meter name={t('gpu.power')} part={gpu.watts_limit ? gpu.watts / gpu.watts_limit : null} text={`${count(gpu.watts, locale)} W`} /> : null}
    </div>
  )
}
