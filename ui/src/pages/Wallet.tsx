import { useState } from 'react'
import { useWords } from '../i18n'
import { Button, Card, Choice, Field } from '../parts/controls'
import { Answered, Badge, Empty, Money, Page, Stat, Table, Trouble } from '../parts/display'
import type { WalletView } from '../platform'
import { QrCode } from '../parts/QrCode'
import { useAsk, useDo } from '../state/host'
import { LimitForm } from './Limits'
import { WalletImport } from './WalletImport'
import { Backup, NewWallet, Unlock } from './WalletKeys'

export function WalletPage() {
  const { t } = useWords()
  const wallets = useAsk('wallets', {})
  const [making, setMaking] = useState(false)
  return (
    <Page title={t('nav.wallet')} lead={t('wallet.lead')} action={wallets.data?.length ? <Button icon="plus" onClick={() => setMaking(!making)}>{t('wallet.another')}</Button> : null}>
      <Answered of={wallets}>
        {(wallets) => (
          <>
            {wallets.length === 0 || making ? (
              <>
                <NewWallet first={wallets.length === 0} onMade={() => setMaking(false)} />
                <WalletImport onMade={() => setMaking(false)} />
              </>
            ) : null}
            {wallets.map((wallet) => (
              <One key={wallet.name} wallet={wallet} />
            ))}
          </>
        )}
      </Answered>
    </Page>
  )
}

function One(props: { wallet: WalletView }) {
  const { t } = useWords()
  const { wallet } = props
  const lock = useDo('wallet_lock', ['wallets'])
  const [copied, setCopied] = useState(false)
  return (
    <Card
      title={wallet.name}
      action={
        <div className="flex items-center gap-2">
          <Badge tone={wallet.backed_up_ms ? 'tide' : 'sun'}>{wallet.backed_up_ms ? t('wallet.backed_up') : t('wallet.not_backed_up')}</Badge>
          {wallet.open ? <Button onClick={() => lock.mutate({ name: wallet.name })}>{t('wallet.lock')}</Button> : null}
        </div>
      }
    >
      <button type="button" className="figures max-w-full truncate font-mono text-sm text-soft underline decoration-dotted" onClick={() => void navigator.clipboard.writeText(wallet.account).then(() => setCopied(true))}>
        {copied ? t('copied') : wallet.account}
      </button>
      <div className="mt-5 space-y-6">
        {wallet.open ? null : <Unlock wallet={wallet} />}
        {wallet.backed_up_ms ? null : <Backup wallet={wallet} />}
        <Balances wallet={wallet} />
        <Roles wallet={wallet} />
        <Receive wallet={wallet} />
        {wallet.open ? <Send wallet={wallet} /> : null}
        <Paid wallet={wallet} />
      </div>
    </Card>
  )
}

function Balances(props: { wallet: WalletView }) {
  const { t } = useWords()
  const { name, open } = props.wallet
  const balances = useAsk('wallet_balances', { name })
  const faucet = useDo('wallet_faucet', ['wallet_balances'])
  const withdraw = useDo('wallet_withdraw', ['wallet_balances', 'earnings'])
  return (
    <Answered of={balances}>
      {(has) => (
        <div>
          <dl className="grid gap-4 sm:grid-cols-3">
            <Stat name={t('wallet.usdc')}>
              <Money sum={has.usdc} />
            </Stat>
            <Stat name={t('wallet.usdcx')} tone="tide">
              <Money sum={has.usdcx} digits={9} />
            </Stat>
            <Stat name={t('wallet.gas')}>
              <Money sum={has.native} digits={4} />
            </Stat>
          </dl>
          <div className="mt-3 flex flex-wrap items-center gap-2">
            <Badge>{has.chain}</Badge>
            {has.play ? (
              <Button busy={faucet.isPending} onClick={() => faucet.mutate({ name })}>
                {t('wallet.faucet')}
              </Button>
            ) : null}
            {open ? (
              <Button busy={withdraw.isPending} onClick={() => withdraw.mutate({ name })}>
                {t('wallet.withdraw')}
              </Button>
            ) : null}
          </div>
          {withdraw.data ? <p role="status" className="mt-2 text-sm">{t('wallet.withdrawn', { count: withdraw.data.length })}</p> : null}
          {(faucet.error ?? withdraw.error) ? (
            <div className="mt-3">
              <Trouble error={faucet.error ?? withdraw.error} />
            </div>
          ) : null}
        </div>
      )}
    </Answered>
  )
}

/** What the wallet is for; choosing lets it spend what that takes, and no more. */
function Roles(props: { wallet: WalletView }) {
  const { t } = useWords()
  const { name } = props.wallet
  const settings = useAsk('settings_get', {})
  const limits = useAsk('wallet_limits', { name })
  const set = useDo('settings_set', ['settings_get', 'status'])
  const preset = useDo('wallet_limits_preset', ['wallet_limits'])
  if (!settings.data) return null
  const { sharing, using } = settings.data
  const earns = sharing.wallet === name
  const pays = using.wallet === name
  const choose = (role: 'operator' | 'payer', on: boolean) => {
    const change = role === 'operator' ? { sharing: { ...sharing, wallet: on ? name : null } } : { using: { ...using, wallet: on ? name : null } }
    const then = () => set.mutate({ settings: { ...settings.data, ...change } })
    if (on) preset.mutate({ name, preset: role }, { onSuccess: then })
    else then()
  }
  return (
    <div>
      <h3 className="font-semibold">{t('wallet.roles')}</h3>
      <div className="mt-2 flex flex-wrap gap-2">
        <Button icon={earns ? 'check' : 'earn'} aria-pressed={earns} onClick={() => choose('operator', !earns)}>
          {earns ? t('wallet.earns') : t('wallet.let_earn')}
        </Button>
        <Button icon={pays ? 'check' : 'chat'} aria-pressed={pays} onClick={() => choose('payer', !pays)}>
          {pays ? t('wallet.pays') : t('wallet.let_pay')}
        </Button>
      </div>
      {limits.data && limits.data.length > 0 ? (
        <details className="mt-3">
          <summary className="text-sm text-soft">{t('wallet.limits')}</summary>
          <Table
            caption={t('wallet.limits')}
            rows={limits.data}
            id={(limit) => limit.purpose + limit.each.asset}
            columns={[
              { name: t('wallet.purpose'), cell: (limit) => limit.purpose },
              { name: t('wallet.each'), cell: (limit) => <Money sum={limit.each} />, end: true },
              { name: t('wallet.day'), cell: (limit) => <Money sum={limit.day} />, end: true },
            ]}
          />
        </details>
      ) : (
        <p className="mt-2 text-sm text-soft">{t('wallet.no_limits')}</p>
      )}
      <LimitForm wallet={name} />
      {(set.error ?? preset.error) ? (
        <div className="mt-3">
          <Trouble error={set.error ?? preset.error} />
        </div>
      ) : null}
    </div>
  )
}

function Receive(props: { wallet: WalletView }) {
  const { t } = useWords()
  const { name, account } = props.wallet
  const balances = useAsk('wallet_balances', { name })
  return (
    <details>
      <summary className="font-semibold">{t('wallet.receive')}</summary>
      <p className="mt-2 text-sm text-soft">{t('wallet.receive_more', { chain: balances.data?.chain ?? '?' })}</p>
      <div className="mt-3">
        <QrCode text={account} label={account} />
      </div>
    </details>
  )
}

function Send(props: { wallet: WalletView }) {
  const { t } = useWords()
  const { name } = props.wallet
  const [to, setTo] = useState('')
  const [amount, setAmount] = useState('')
  const [asset, setAsset] = useState('USDC')
  const preview = useDo('wallet_send_preview')
  const send = useDo('wallet_send', ['wallet_balances'])
  const what = { name, to, amount, asset }
  const anew = () => {
    preview.reset()
    send.reset()
  }
  return (
    <details>
      <summary className="font-semibold">{t('wallet.send')}</summary>
      <form
        className="mt-3 grid gap-3 sm:grid-cols-[2fr_1fr_8rem]"
        onChange={anew}
        onSubmit={(event) => {
          event.preventDefault()
          preview.mutate(what)
        }}
      >
        <Field label={t('wallet.to')} value={to} required spellCheck={false} onChange={(event) => setTo(event.target.value)} />
        <Field label={t('amount')} value={amount} required inputMode="decimal" onChange={(event) => setAmount(event.target.value)} />
        <Choice label={t('wallet.asset')} value={asset} onChange={setAsset} options={[['USDC', 'USDC'], ['USDCx', 'USDCx'], ['native', t('wallet.gas')]]} />
        <Button type="submit" busy={preview.isPending}>
          {t('wallet.try')}
        </Button>
      </form>
      {preview.data && !send.data ? (
        <div className="mt-3 rounded-md bg-well p-4 text-sm">
          <p>{preview.data.what}</p>
          <p>
            {t('wallet.fee')} <Money sum={preview.data.fee} digits={9} />. {t('wallet.left')} <Money sum={preview.data.left} />.
          </p>
          <Button kind="main" className="mt-3" busy={send.isPending} onClick={() => send.mutate(what)}>
            {t('wallet.send_now')}
          </Button>
        </div>
      ) : null}
      {send.data ? <p role="status" className="mt-3 text-sm">{t('wallet.sent', { transaction: send.data.transaction })}</p> : null}
      {(preview.error ?? send.error) ? (
        <div className="mt-3">
          <Trouble error={preview.error ?? send.error} />
        </div>
      ) : null}
    </details>
  )
}

/** Sessions that this wallet has paid for; what is left of them can be had without the seller. */
function Paid(props: { wallet: WalletView }) {
  const { t } = useWords()
  const { name, open } = props.wallet
  const paid = useAsk('wallet_paid', { name })
  const take = useDo('wallet_paid_fetch', ['wallet_paid', 'wallet_balances'])
  return (
    <div>
      <h3 className="mb-2 font-semibold">{t('wallet.paid')}</h3>
      <Answered of={paid}>
        {(paid) =>
          paid.length === 0 ? (
            <Empty title={t('wallet.no_paid')}>{t('wallet.no_paid_more')}</Empty>
          ) : (
            <Table
              caption={t('wallet.paid')}
              rows={[...paid].reverse()}
              id={(session) => session.session}
              columns={[
                { name: t('wallet.session'), cell: (session) => <code className="text-xs">{`${session.session.slice(0, 10)}…`}</code> },
                { name: t('wallet.put_in'), cell: (session) => <Money sum={session.paid} />, end: true },
                { name: t('wallet.spent'), cell: (session) => (session.spent ? <Money sum={session.spent} digits={9} /> : '–'), end: true },
                { name: t('wallet.back'), cell: (session) => (session.refund ? <Money sum={session.refund} /> : '–'), end: true },
                {
                  name: t('pools.state'),
                  cell: (session) => (
                    <span className="flex items-center gap-2">
                      <Badge tone={session.standing === 'open' ? 'tide' : 'plain'}>{t(`standing.${session.standing as 'open'}`)}</Badge>
                      {session.due && open ? (
                        <Button onClick={() => take.mutate({ name, session: session.session })} busy={take.isPending}>
                          {session.standing === 'open' ? t('wallet.stop') : t('wallet.fetch')}
                        </Button>
                      ) : null}
                    </span>
                  ),
                },
              ]}
            />
          )
        }
      </Answered>
      {take.error ? <Trouble error={take.error} /> : null}
    </div>
  )
}
