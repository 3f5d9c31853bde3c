import { useState } from 'react'
import { useWords } from '../i18n'
import { Button, Card, Choice } from '../parts/controls'
import { Answered, Badge, Empty, Money, Page, Table } from '../parts/display'
import { useAsk } from '../state/host'
import { Programs, Requests } from './Programs'
import { snippet, type SnippetLanguage } from '../playground/snippets'

export function DeveloperPage() {
  const { t } = useWords()
  const offer = useAsk('offer', {})
  const own = useAsk('programs', {}).data?.address ?? null
  const [language, setLanguage] = useState<SnippetLanguage>('curl')
  const [copied, setCopied] = useState(false)
  return (
    <Page title={t('nav.developer')} lead={t('developer.lead')}>
      <Programs />
      <Requests />
      <Answered of={offer} rows={5}>
        {(offer) => {
          const code = snippet(language, own ?? offer.endpoint, offer.models[0]?.id ?? 'MODEL', [{ role: 'user', content: 'Hello!' }], {})
          return (
            <>
              <Card title={t('developer.endpoint')} action={<Badge tone={offer.paid ? 'ember' : 'tide'}>{offer.paid ? t('developer.paid') : t('developer.free')}</Badge>}>
                <code className="figures block overflow-x-auto rounded-md bg-well p-3">{offer.endpoint}</code>
                {offer.per_hour && offer.session ? (
                  <p className="mt-3 text-sm">
                    {t('developer.price')} <Money sum={offer.per_hour} />. {t('developer.session')} <Money sum={offer.session} />.
                  </p>
                ) : null}
                {offer.paid ? <p className="mt-2 text-sm text-soft">{t('developer.pay_more')}</p> : null}
              </Card>
              <Card title={t('developer.models')}>
                {offer.models.length === 0 ? (
                  <Empty title={t('home.no_ring')}>{t('home.no_ring_more')}</Empty>
                ) : (
                  <Table
                    caption={t('developer.models')}
                    rows={offer.models}
                    id={(model) => model.id}
                    columns={[
                      { name: t('name'), cell: (model) => <code>{model.id}</code> },
                      { name: t('models.context'), cell: (model) => model.context ?? '–', end: true },
                      { name: t('pools.state'), cell: (model) => <Badge tone={model.available ? 'tide' : 'sun'}>{model.available ? t('answers') : t('silent')}</Badge> },
                    ]}
                  />
                )}
              </Card>
              <Card
                title={t('developer.snippet')}
                action={
                  <div className="flex items-end gap-2">
                    <Choice label={t('developer.language')} value={language} onChange={setLanguage} options={[['curl', 'curl'], ['python', 'Python'], ['javascript', 'JavaScript']]} />
                    <Button icon={copied ? 'check' : 'copy'} onClick={() => void navigator.clipboard.writeText(code).then(() => setCopied(true))}>
                      {copied ? t('copied') : t('copy')}
                    </Button>
                  </div>
                }
              >
                <pre tabIndex={0} className="overflow-x-auto rounded-md bg-well p-3 font-mono text-sm">
                  {code}
                </pre>
              </Card>
            </>
          )
        }}
      </Answered>
    </Page>
  )
}
