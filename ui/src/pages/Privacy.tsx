import { useWords } from '../i18n'
import { moment } from '../i18n/numbers'
import { Card, Switch } from '../parts/controls'
import { Answered, Badge, Empty, Page, Table, Trouble } from '../parts/display'
import type { ConsentCard } from '../platform'
import { useAsk, useDo } from '../state/host'

export function PrivacyPage() {
  const { t, locale } = useWords()
  const history = useAsk('consent_history', {})
  const words = (agreed: boolean) => (agreed ? <Badge tone="tide">{t('consent.given')}</Badge> : <Badge>{t('consent.taken')}</Badge>)
  return (
    <Page title={t('nav.privacy')} lead={t('privacy.lead')}>
      <Consents />
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
