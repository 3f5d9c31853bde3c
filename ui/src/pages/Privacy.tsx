import { useState } from 'react'
import { useWords } from '../i18n'
import { moment } from '../i18n/numbers'
import { Confirm } from '../parts/Confirm'
import { Button, Card, Switch } from '../parts/controls'
import { Answered, Badge, Empty, Page, Table, Trouble } from '../parts/display'
import type { ConsentCard } from '../platform'
import { useAsk, useDo } from '../state/host'
import { Leave } from './Leave'

export function PrivacyPage() {
  const { t, locale } = useWords()
  const history = useAsk('consent_history', {})
  const words = (agreed: boolean) => (agreed ? <Badge tone="tide">{t('consent.given')}</Badge> : <Badge>{t('consent.taken')}</Badge>)
  return (
    <Page title={t('nav.privacy')} lead={t('privacy.lead')}>
      <Consents />
      <Leaves />
      <Card title={t('privacy.history')}>
        <Answered of={history}>
          {(history) =>
            history.length === 0 ? (
              <Empty title={t('privacy.nothing')}>{t('privacy.nothing_more')}</Empty>
            ) : (
              <Table
                caption={t('privacy.history')}
                rows={[...history].reverse()}
                id={(record) => `${record.at_ms}-${record.scope}-${record.agreed}`}
                columns={[
                  { name: t('when'), cell: (record) => moment(record.at_ms, locale) },
                  { name: t('privacy.what'), cell: (record) => t(`consent.${record.scope}`) },
                  { name: t('privacy.version'), cell: (record) => record.version },
                  { name: t('privacy.said'), cell: (record) => words(record.agreed) },
                ]}
              />
            )
          }
        </Answered>
      </Card>
    </Page>
  )
}

/** What goes out, in each mode; and what can be deleted here. */
function Leaves() {
  const { t } = useWords()
  const [sure, setSure] = useState(false)
  const remove = useDo('data_delete', ['settings_get', 'threads', 'programs', 'requests', 'models'])
  return (
    <>
      <Card title={t('privacy.never')}>
        <ul className="list-disc space-y-2 ps-5">
          {(['telemetry', 'idle', 'asking', 'sharing'] as const).map((mode) => (
            <li key={mode}>{t(`privacy.${mode}`)}</li>
          ))}
        </ul>
      </Card>
      <Card title={t('privacy.delete')}>
        <p className="text-sm text-soft">{t('privacy.delete_more')}</p>
        <Button kind="danger" className="mt-3" busy={remove.isPending} onClick={() => setSure(true)}>
          {t('privacy.delete')}
        </Button>
        <Confirm open={sure} onOpenChange={setSure} title={t('privacy.sure')} text={t('privacy.delete_more')} yes={t('privacy.delete')} onYes={() => remove.mutate({})} />
        {remove.data ? <p role="status" className="mt-3 text-sm">{t('privacy.deleted')}</p> : null}
        {remove.error ? <Trouble error={remove.error} /> : null}
      </Card>
      <Leave />
    </>
  )
}

/** A card for each: what runs, what leaves this computer, how it ends. All off until chosen. */
export function Consents(props: { only?: ConsentCard['scope'][] }) {
  const consents = useAsk('consents', {})
  return (
    <Answered of={consents} rows={6}>
      {(cards) => (
        <>
          {cards
            .filter((card) => props.only?.includes(card.scope) ?? true)
            .map((card) => (
              <Consent key={card.scope} card={card} />
            ))}
        </>
      )}
    </Answered>
  )
}

function Consent(props: { card: ConsentCard }) {
  const { t } = useWords()
  const { card } = props
  const give = useDo('consent_give', ['consents', 'consent_history', 'status'])
  const revoke = useDo('consent_revoke', ['consents', 'consent_history', 'status'])
  const flip = (on: boolean) => (on ? give.mutate({ scope: card.scope, version: card.version }) : revoke.mutate({ scope: card.scope }))
  const texts = (['runs', 'leaves', 'ends'] as const).map((part) => [part, t(`consent.${card.scope}.${part}`)] as const)
  return (
    <Card>
      <Switch large label={t(`consent.${card.scope}`)} on={card.agreed} disabled={give.isPending || revoke.isPending} onChange={flip} />
      <dl className="mt-2 grid gap-3 text-sm sm:grid-cols-3">
        {texts.map(([part, text]) => (
          <div key={part}>
            <dt className="font-semibold">{t(`consent.${part}`)}</dt>
            <dd className="text-soft">{text}</dd>
          </div>
        ))}
      </dl>
      {(give.error ?? revoke.error) ? (
        <div className="mt-3">
          <Trouble error={give.error ?? revoke.error} />
        </div>
      ) : null}
    </Card>
  )
}
