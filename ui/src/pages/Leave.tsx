import { useState } from 'react'
import { useWords } from '../i18n'
import { moment } from '../i18n/numbers'
import { Button, Card, Switch } from '../parts/controls'
import { Confirm } from '../parts/Confirm'
import { Money, Table, Trouble } from '../parts/display'
import { Icon } from '../parts/icons'
import type { Report } from '../platform'
import { useDo } from '../state/host'

/** Later than any calendar goes: while somebody still belongs to a coalition. */
const NEVER = 8.64e15

/** One click leaves, with a report of what remained. */
export function Leave() {
  const { t } = useWords()
  const [forget, setForget] = useState(false)
  const [data, setData] = useState(false)
  const [sure, setSure] = useState(false)
  const leave = useDo('leave', ['status', 'earnings', 'wallets', 'wallet_balances', 'consents', 'consent_history', 'settings_get', 'programs', 'threads'])
  return (
    <Card title={t('leave.title')}>
      <p className="max-w-prose text-sm text-soft">{t('leave.more')}</p>
      <Switch label={t('leave.forget')} hint={t('leave.forget_more')} on={forget} onChange={setForget} />
      <Switch label={t('leave.data')} hint={t('leave.data_more')} on={data} onChange={setData} />
      <Button kind="danger" className="mt-3" busy={leave.isPending} onClick={() => setSure(true)}>
        {t('leave.begin')}
      </Button>
      <Confirm open={sure} onOpenChange={setSure} title={t('leave.sure')} text={t('leave.more')} yes={t('leave.begin')} onYes={() => leave.mutate({ forget_wallet: forget, delete_data: data })} />
      {leave.data ? <Outcome report={leave.data} /> : null}
      {leave.error ? (
        <div className="mt-4">
          <Trouble error={leave.error} />
        </div>
      ) : null}
    </Card>
  )
}

function Outcome(props: { report: Report }) {
  const { t, locale } = useWords()
  const { lines, remains } = props.report
  return (
    <div role="status" className="mt-5 space-y-4">
      <h3 className="font-semibold">{t('leave.report')}</h3>
      <ul className="space-y-1.5 text-sm">
        {lines.map((line, index) => (
          <li key={index} className="flex gap-2">
            <Icon name={line.problem ? 'close' : 'check'} className={line.problem ? 'mt-0.5 text-rose' : 'mt-0.5 text-tide'} />
            <span>
              {line.text}
              {line.problem?.hint ? <span className="text-soft"> {line.problem.hint}</span> : null}
            </span>
          </li>
        ))}
      </ul>
      <h3 className="font-semibold">{t('leave.remains')}</h3>
      {remains.length === 0 ? (
        <p className="text-sm">{t('leave.nothing')}</p>
      ) : (
        <Table
          caption={t('leave.remains')}
          rows={remains}
          id={(it) => it.kind + it.coalition + it.amount.asset}
          columns={[
            { name: t('amount'), cell: (it) => <Money sum={it.amount} digits={9} /> },
            { name: t('earn.kind'), cell: (it) => t(`leave.${it.kind as 'stake'}`) },
            { name: t('when'), cell: (it) => (it.until_ms === null ? '–' : it.until_ms > NEVER ? '–' : t('leave.until', { time: moment(it.until_ms, locale) })) },
          ]}
        />
      )}
    </div>
  )
}
