import { useState } from 'react'
import { useWords } from '../i18n'
import { count, percent } from '../i18n/numbers'
import { Button, Card } from '../parts/controls'
import { Meter, Stat, Trouble } from '../parts/display'
import type { Forecast as Outcome } from '../platform'
import { useDo, useHeard } from '../state/host'

const SECONDS = 60

/** What sharing might bring, measured before anybody agrees to it. */
export function Forecast() {
  const { t, locale } = useWords()
  const [part, setPart] = useState(0)
  const forecast = useDo('forecast')
  useHeard((event) => {
    if (event.kind === 'measuring') setPart(event.part)
  })
  return (
    <Card title={t('forecast.title')}>
      <p className="max-w-prose text-sm text-soft">{t('forecast.more')}</p>
      <div className="mt-4">
        {forecast.isPending ? (
          <Meter name={t('forecast.under_way')} part={part} text={percent(part * 100, locale)} />
        ) : (
          <Button
            icon="earn"
            onClick={() => {
              setPart(0)
              forecast.mutate({ seconds: SECONDS })
            }}
          >
            {t('forecast.begin')}
          </Button>
        )}
      </div>
      {forecast.data ? <Shown of={forecast.data} /> : null}
      {forecast.error ? (
        <div className="mt-4">
          <Trouble error={forecast.error} />
        </div>
      ) : null}
    </Card>
  )
}

function Shown(props: { of: Outcome }) {
  const { t, locale } = useWords()
  const { of } = props
  const { money } = of
  const speed = (tokens: number) => t('pools.speed', { speed: count(tokens, locale, 1) })
  const dollars = (amount: number) => new Intl.NumberFormat(locale, { style: 'currency', currency: 'USD', maximumFractionDigits: 4 }).format(amount)
  const hour = (amount: number) => t('forecast.hour', { amount: dollars(amount) })
  return (
    <div role="status" className="mt-5 space-y-4">
      <dl>
        <Stat name={t('forecast.speed', { model: of.model })} more={t('forecast.between', { slowest: count(of.slowest, locale, 1), fastest: count(of.fastest, locale, 1), count: of.rounds, device: of.device })}>
          {speed(of.tokens_per_second)}
        </Stat>
      </dl>
      {money ? (
        <>
          <dl className="grid gap-4 sm:grid-cols-3">
            <Stat name={t('forecast.least')} tone="soft">
              {hour(money.least)}
            </Stat>
            <Stat name={t('forecast.likely')} tone="tide">
              {money.likely === null ? '–' : `≈ ${hour(money.likely)}`}
            </Stat>
            <Stat name={t('forecast.most')} tone="soft">
              {hour(money.most)}
            </Stat>
          </dl>
          <ul className="list-disc space-y-1 ps-5 text-sm text-soft">
            <li>{t('forecast.by', { price: dollars(money.price), machines: money.machines })}</li>
            <li>{money.busy === null ? t('forecast.unseen') : t('forecast.busy', { part: percent(money.busy * 100, locale) })}</li>
            <li>{money.electricity === null ? t('forecast.gross') : t('forecast.net', { amount: dollars(money.electricity) })}</li>
            <li>{t('forecast.guess')}</li>
          </ul>
        </>
      ) : (
        <p className="text-sm">{t('forecast.nobody')}</p>
      )}
    </div>
  )
}
