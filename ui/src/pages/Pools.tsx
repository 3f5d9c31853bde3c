import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { useWords } from '../i18n'
import { bytes, count } from '../i18n/numbers'
import { Button, Card, Field } from '../parts/controls'
import { Answered, Badge, Empty, Page, Stat, Table, Trouble } from '../parts/display'
import { Ring } from '../parts/Ring'
import type { NetworkView, PoolView } from '../platform'
import { useAsk, useDo } from '../state/host'

export function PoolsPage() {
  const { t } = useWords()
  const network = useAsk('network', {})
  return (
    <Page title={t('nav.pools')} lead={t('pools.lead')} wide>
      <Answered of={network} rows={6}>
        {(network) =>
          network.pools.length === 0 ? (
            <Empty title={t('home.no_ring')}>{t('home.no_ring_more')}</Empty>
          ) : (
            network.pools.map((pool) => <Pool key={pool.model} pool={pool} network={network} />)
          )
        }
      </Answered>
      <Join />
      <Card title={t('pools.inft')}>
        <Empty title={t('pools.inft_none')}>{t('pools.inft_more')}</Empty>
      </Card>
    </Page>
  )
}

/** Another network, by its invite. It is looked at first, and joined on the start page. */
function Join() {
  const { t } = useWords()
  const go = useNavigate()
  const [link, setLink] = useState('')
  const offer = useDo('invite_offer', ['status'])
  return (
    <Card title={t('pools.join')}>
      <p className="max-w-prose text-sm text-soft">{t('pools.join_more')}</p>
      <form
        className="mt-3 grid items-end gap-3 sm:grid-cols-[1fr_auto]"
        onSubmit={(event) => {
          event.preventDefault()
          offer.mutate({ link: link.trim() }, { onSuccess: () => void go({ to: '/' }) })
        }}
      >
        <Field label={t('settings.invite')} required spellCheck={false} value={link} onChange={(event) => setLink(event.target.value)} />
        <Button type="submit" busy={offer.isPending}>
          {t('pools.join_now')}
        </Button>
      </form>
      {offer.error ? (
        <div className="mt-3">
          <Trouble error={offer.error} />
        </div>
      ) : null}
    </Card>
  )
}

function Pool(props: { pool: PoolView; network: NetworkView }) {
  const { t, locale } = useWords()
  const { pool, network } = props
  const whole = pool.spares !== null
  const speed = pool.token_us ?? pool.predicted_token_us
  const members = network.nodes.filter((node) => pool.places.some((place) => [...place.ready, ...place.coming].includes(node.id)))
  const place = (id: string) => pool.places.find((place) => [...place.ready, ...place.coming].includes(id))
  return (
    <Card title={pool.model} action={<Badge tone={whole ? 'tide' : 'sun'}>{whole ? t('pools.whole') : t('pools.gap')}</Badge>}>
      <div className="grid items-center gap-6 lg:grid-cols-[1fr_16rem]">
        {pool.places.length > 0 ? <Ring network={network} pool={pool} /> : <Empty title={t('home.no_ring')}>{t('home.no_ring_more')}</Empty>}
        <dl className="grid grid-cols-2 gap-4 lg:grid-cols-1">
          <Stat name={pool.token_us === null ? t('pools.predicted') : t('pools.measured')}>{speed === null ? '–' : t('pools.speed', { speed: count(1e6 / speed, locale, 1) })}</Stat>
          <Stat name={t('pools.safety')} more={pool.spares === null ? t('pools.gap_more') : t('pools.spares', { count: pool.spares })}>
            {pool.spares ?? '–'}
          </Stat>
          <Stat name={t('pools.moved')}>{count(network.failovers + network.handovers, locale)}</Stat>
        </dl>
      </div>
      {pool.advice ? <p className="mt-4 rounded-md bg-well p-3 text-sm">{pool.advice}</p> : null}
      <h3 className="mt-5 mb-1 font-semibold">{t('pools.members')}</h3>
      <Table
        caption={t('pools.members')}
        rows={members}
        id={(node) => node.id}
        columns={[
          {
            name: t('name'),
            cell: (node) => (
              <>
                {node.name} {node.mine ? <Badge tone="ember">{t('ring.mine')}</Badge> : null}
                <code className="block text-xs text-soft">{node.id.slice(-12)}</code>
              </>
            ),
          },
          { name: t('pools.layers'), cell: (node) => (place(node.id) ? `${place(node.id)!.from}–${place(node.id)!.to}` : '–') },
          { name: t('pools.state'), cell: (node) => <Badge tone={node.phase === 'ready' ? 'tide' : 'sun'}>{node.phase}</Badge> },
          { name: t('pools.weights'), cell: (node) => (node.weight_bytes === null ? '–' : bytes(node.weight_bytes, locale)), end: true },
          { name: t('pools.paid_to'), cell: (node) => (node.operator ? <code className="text-xs">{`${node.operator.slice(0, 8)}…${node.operator.slice(-4)}`}</code> : t('nobody')) },
        ]}
      />
    </Card>
  )
}
