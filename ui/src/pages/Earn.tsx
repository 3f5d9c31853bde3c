import { useMemo, useState } from 'react'
import { useWords } from '../i18n'
import { money, moment, percent } from '../i18n/numbers'
import { Button, Card, Choice } from '../parts/controls'
import { Answered, Badge, Empty, Money, Page, Stat, Table, Trouble } from '../parts/display'
import { Chart, type Point } from '../parts/Chart'
import { Icon } from '../parts/icons'
import { type EarningsView, usePlatform } from '../platform'
import { useAsk, useDo } from '../state/host'
import { Forecast } from './Forecast'
import { Link } from '@tanstack/react-router'

const spans = { day: 24, week: 24 * 7, month: 24 * 30, all: Number.POSITIVE_INFINITY } as const
type Span = keyof typeof spans

/** What had been earned by each moment: sums of exact amounts, in the smallest unit. */
export function earnedOver(earnings: EarningsView, since: number, now: number): Point[] {
  const closed = earnings.sessions.map((session) => ({ at: session.closed_ms ?? now, units: toUnits(session.amount.amount) }))
  closed.sort((one, other) => one.at - other.at)
  let sum = 0n
  const points: Point[] = []
  for (const { at, units } of closed) {
    sum += units
    if (at >= since) points.push(point(at, sum))
  }
  const before = closed.filter(({ at }) => at < since).reduce((all, { units }) => all + units, 0n)
  return points.length === 0 ? [] : [point(Math.max(since, points[0]!.at - 60_000), before), ...points]
}

const DIGITS = 18

function toUnits(amount: string): bigint {
  const [whole = '0', rest = ''] = amount.split('.')
  return BigInt(whole + rest.padEnd(DIGITS, '0').slice(0, DIGITS))
}

function point(at: number, units: bigint): Point {
  const text = units.toString().padStart(DIGITS + 1, '0')
  const exact = `${text.slice(0, -DIGITS)}.${text.slice(-DIGITS)}`.replace(/\.?0+$/, '') || '0'
  return { at, value: Number(exact), exact }
}

export function EarnPage() {
  const { t } = useWords()
  const settings = useAsk('settings_get', {})
  const wallet = settings.data?.sharing.wallet ?? null
  const earnings = useAsk('earnings', {}, wallet !== null)
  const written = useDo('earnings_export')
  return (
    <Page
      title={t('nav.earn')}
      lead={t('earn.lead')}
      wide
      action={
        <Button icon="out" busy={written.isPending} disabled={wallet === null} onClick={() => written.mutate({})}>
          {t('earn.export')}
        </Button>
      }
    >
      <Forecast />
      {written.data ? <p role="status">{t('earn.exported', { path: written.data.path })}</p> : null}
      {written.error ? <Trouble error={written.error} /> : null}
      {settings.data && wallet === null ? (
        <Empty
          title={t('earn.nobody')}
          action={
            <Link to="/wallet" className="font-semibold text-ember underline">
              {t('home.to_wallet')}
            </Link>
          }
        >
          {t('earn.nobody_more')}
        </Empty>
      ) : (
        <Answered of={earnings} rows={6}>
          {(earnings) => <Statement earnings={earnings} />}
        </Answered>
      )}
    </Page>
  )
}

function Statement(props: { earnings: EarningsView }) {
  const { t, locale } = useWords()
  const { earnings } = props
  const host = usePlatform()
  const [span, setSpan] = useState<Span>('day')
  const [pool, setPool] = useState('')
  const points = useMemo(() => {
    const now = Date.now()
    const sessions = earnings.sessions.filter((session) => pool === '' || session.coalition === pool)
    return earnedOver({ ...earnings, sessions }, Number.isFinite(spans[span]) ? now - spans[span] * 3600_000 : 0, now)
  }, [earnings, span, pool])
  const flows = earnings.per_second.amount !== '0'
  return (
    <>
      <div className="grid gap-5 sm:grid-cols-3">
        <Card>
          <dl>
            <Stat name={t('earn.settled')} more={t('earn.settled_more')}>
              <Money sum={earnings.settled} />
            </Stat>
          </dl>
        </Card>
        <Card>
          <dl>
            <Stat name={t('earn.pending')} more={t('earn.pending_more')} tone="tide">
              <Money sum={earnings.pending} digits={9} />
            </Stat>
          </dl>
        </Card>
        <Card>
          <dl>
            <Stat name={t('earn.estimate')} more={flows ? t('earn.flows', { rate: money(earnings.per_second.amount, locale, 9) }) : t('earn.no_work')} tone="soft">
              {flows ? (
                <>
                  ≈ <Money sum={earnings.per_hour} />
                </>
              ) : (
                '–'
              )}
            </Stat>
          </dl>
        </Card>
      </div>
      <Card
        title={t('earn.history')}
        action={
          <div className="flex gap-3">
            {earnings.seats.length > 1 ? <Choice label={t('seats.coalition')} value={pool} onChange={setPool} options={[['', t('earn.all')], ...earnings.seats.map((seat) => [seat.coalition, `${seat.coalition.slice(0, 12)}…`] as const)]} /> : null}
            <Choice label={t('earn.span')} value={span} onChange={setSpan} options={[['day', t('earn.day')], ['week', t('earn.week')], ['month', t('earn.month')], ['all', t('earn.all')]]} />
          </div>
        }
      >
        {points.length === 0 ? (
          <Empty title={t('earn.nothing')}>{t('earn.nothing_more')}</Empty>
        ) : (
          <Chart title={t('earn.sum')} description={t('earn.sum_more', { count: earnings.sessions.length })} unit="USDCx" points={points} />
        )}
      </Card>
      <Card title={t('seats.title')}>
        {earnings.seats.length === 0 ? (
          <Empty title={t('seats.none')}>{t('seats.none_more')}</Empty>
        ) : (
          <Table
            caption={t('seats.title')}
            rows={earnings.seats}
            id={(seat) => seat.coalition}
            columns={[
              { name: t('seats.coalition'), cell: (seat) => <code className="text-xs">{`${seat.coalition.slice(0, 12)}…`}</code> },
              { name: t('seats.part'), cell: (seat) => percent(seat.percent, locale), end: true },
              {
                name: t('seats.staked'),
                cell: (seat) => (
                  <>
                    <Money sum={seat.staked} /> {seat.bonding ? <Badge tone="sun">{t('seats.bonding')}</Badge> : null}
                  </>
                ),
                end: true,
              },
              { name: t('earn.pending'), cell: (seat) => <Money sum={seat.pending} digits={9} />, end: true },
              { name: t('seats.flows'), cell: (seat) => <Money sum={seat.per_second} digits={9} />, end: true },
            ]}
          />
        )}
      </Card>
      <Card title={t('earn.payouts')}>
        {earnings.payouts.length === 0 ? (
          <Empty title={t('earn.no_payouts')}>{t('earn.no_payouts_more')}</Empty>
        ) : (
          <Table
            caption={t('earn.payouts')}
            rows={[...earnings.payouts].reverse()}
            id={(payout) => payout.transaction + payout.kind}
            columns={[
              { name: t('when'), cell: (payout) => moment(payout.at_ms, locale) },
              { name: t('earn.kind'), cell: (payout) => <Badge tone={payout.kind === 'staked' ? 'sun' : 'tide'}>{t(`earn.${payout.kind as 'paid' | 'collected' | 'staked'}`)}</Badge> },
              { name: t('amount'), cell: (payout) => <Money sum={payout.amount} digits={9} />, end: true },
              {
                name: t('transaction'),
                cell: (payout) =>
                  payout.link ? (
                    <button type="button" className="inline-flex items-center gap-1 text-ember underline" onClick={() => host.open(payout.link!)}>
                      {payout.transaction.slice(0, 12)}… <Icon name="out" />
                    </button>
                  ) : (
                    <code>{payout.transaction.slice(0, 18)}…</code>
                  ),
              },
            ]}
          />
        )}
      </Card>
    </>
  )
}
