// From the first start to the money: a real host, engine, network and chain, and a real browser. No mocks.
import assert from 'node:assert/strict'
import AxeBuilder from '@axe-core/playwright'
import { sections, startBrowser, startHost } from './host.mjs'
import { createServer } from 'node:net'
import { until } from './until.mjs'

const PASSPHRASE = 'correct horse battery'
const began = Date.now()
const say = (text) => console.log(`[${((Date.now() - began) / 1000).toFixed(1).padStart(5)} s] ${text}`)

const freePort = () => new Promise((resolve) => { const server = createServer().listen(0, '127.0.0.1', () => { const { port } = server.address(); server.close(() => resolve(port)) }) })

const host = await startHost('--trial', '--shards', '3', '--nodes', '2')
const browser = await startBrowser()
let failed = null
const seen = { pages: 0, violations: 0 }
try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 } })
  const page = await context.newPage()
  const troubles = []
  page.on('pageerror', (error) => troubles.push(error.message))
  page.on('console', (message) => message.type() === 'error' && !message.text().includes('422') && troubles.push(message.text()))
  const press = (name) => page.getByRole('button', { name, exact: true }).click()
  const flip = (name) => page.getByRole('switch', { name }).click()
  const go = (name) => page.getByRole('link', { name, exact: true }).first().click()
  const status = () => host.call('status')

  await page.goto(host.page)
  await page.getByRole('heading', { name: 'One model, many graphics cards' }).waitFor()
  assert.ok(!page.url().includes(host.token), 'the token is gone from the address bar')
  await press('Next')
  await page.getByRole('heading', { name: 'What this computer has' }).waitFor()
  await press('Next')
  await page.getByRole('button', { name: /^Both/ }).click()
  say('onboarding: what it is, what was found, what is wanted')

  await page.getByLabel('Kept in').first().selectOption('file')
  await page.getByLabel('Passphrase', { exact: true }).first().fill(PASSPHRASE)
  await press('Make the wallet')
  await page.getByRole('button', { name: 'Show the words' }).waitFor()
  await page.getByLabel('Passphrase', { exact: true }).first().fill(PASSPHRASE)
  await press('Show the words')
  const words = (await until('the words', () => host.secrets[0])).secret.split(' ')
  assert.ok(!(await page.content()).includes(words.join(' ')), 'the words never come to the page')
  await press('I have written them down')
  await page.getByLabel(/^Word /).first().waitFor()
  for (const field of await page.getByLabel(/^Word /).all()) {
    const label = await field.evaluate((input) => input.labels[0].textContent)
    await field.fill(words[Number(label.match(/\d+/)[0]) - 1])
  }
  await press('Check')
  await page.getByText('backed up', { exact: true }).waitFor()
  say('wallet: made, backed up, and the backup shown to exist')

  await press('Next')
  await page.getByRole('switch').nth(3).waitFor()
  const cards = await page.getByRole('switch').all()
  assert.equal(cards.length, 4)
  for (const card of cards) assert.equal(await card.getAttribute('aria-checked'), 'false', 'all off until chosen')
  for (const name of ['Share this computer', 'Be reachable from outside', 'Ask the pool', 'Pay for answers']) await flip(name)
  await until('four consents', async () => (await host.call('consents')).every((card) => card.agreed))
  await press('Next')
  await press('Begin')
  say('consents: four cards, each chosen')

  await go('Wallet')
  await press('Get play money')
  await until('play money', async () => (await host.call('wallet_balances', { name: 'main' })).usdc.amount !== '0')
  await press('Let it be paid')
  await page.getByText('It is paid for sharing').waitFor()
  await press('Let it pay')
  await page.getByText('It pays for answers').waitFor()
  await go('Settings')
  // There is no display here whose input could be seen.
  await flip('Only while nobody is here')
  await press('Save')
  await page.getByText('Saved').waitFor()
  await go('Home')
  await flip('Earn')
  await until('serving', async () => (await status()).node.phase === 'serving')
  await page.getByRole('status').filter({ hasText: 'Sharing' }).waitFor()
  say('Earn is on, and this computer is the third of the ring')

  await until('a price', async () => (await host.call('offer')).paid)
  await go('Playground')
  const before = await host.call('wallet_balances', { name: 'main' })
  await page.getByLabel('Your question').fill('Tell me about the sea in one sentence.')
  await page.keyboard.press('Enter')
  await page.getByText('3 machines answered').waitFor({ timeout: 60_000 })
  const text = (await page.getByRole('article').first().innerText()).trim()
  assert.ok(text.length > 40, text)
  say(`answered by three machines: ${text.slice(0, 70).replaceAll('\n', ' ')}…`)
  const threads = await until('the conversation to be kept', async () => (await host.call('threads', { query: 'sea' })).length)
  assert.equal(threads, 1)
  await press('End session')
  const paid = await until('settled', async () => (await host.call('wallet_paid', { name: 'main' })).find((it) => it.standing === 'closed'))
  const units = (amount) => {
    const [whole, rest = ''] = amount.split('.')
    return BigInt(whole + rest.padEnd(18, '0'))
  }
  const spent = units(paid.spent.amount)
  assert.ok(spent > 0n)

  await go('Earnings')
  const earned = await until('earnings', async () => {
    const earnings = await host.call('earnings')
    return earnings.pending.amount !== '0' && earnings.per_second.amount === '0' ? earnings : null
  })
  const mine = units(earned.pending.amount)
  assert.ok(mine > 0n && mine < spent, 'a part of what was paid')
  assert.equal(earned.sessions.reduce((all, session) => all + units(session.amount.amount), 0n), mine)
  const shown = await page.getByTitle(`${earned.pending.amount} USDCx`).first().innerText()
  assert.match(shown, /\d/)
  say(`earned ${earned.pending.amount} of ${paid.spent.amount} USDCx, and the page says ${shown.replace('\n', ' ')}`)

  await go('Home')
  await press('Finish, then pause')
  await until('drained', async () => (await status()).node.phase === 'resting')
  assert.equal((await status()).node.engine_pid, null)
  await page.getByRole('status').filter({ hasText: 'Paused' }).waitFor()
  say('paused and drained: no engine runs')

  await go('Wallet')
  await press('Claim and withdraw')
  await page.getByText(/transactions? (was|were) made/).waitFor({ timeout: 60_000 })
  const after = await host.call('wallet_balances', { name: 'main' })
  assert.equal((await host.call('earnings')).pending.amount, '0')
  // What was paid went out and came back but for what was spent; what was earned came in. USDC has six digits, its stream
  // eighteen: less than a unit may be on its way.
  // A first-time operator's stake is built from what it earns: that part is kept there for it.
  const staked = (await host.call('earnings')).payouts.filter((it) => it.kind === 'staked').reduce((all, it) => all + units(it.amount.amount), 0n)
  const change = staked + units(after.usdc.amount) + units(after.usdcx.amount) - units(before.usdc.amount) - units(before.usdcx.amount)
  const expected = mine - (units(paid.paid.amount) - units(paid.refund.amount))
  const off = change > expected ? change - expected : expected - change
  assert.ok(off < 10n ** 12n, `the chain and the page differ by ${off} wei`)
  say(`withdrawn: the wallet has ${after.usdc.amount} USDC, and ${staked} wei went into its stake`)

  // A program of this machine asks with a key of its own, and the same wallet pays.
  await page.getByRole('link', { name: 'Home', exact: true }).first().click()
  await press('Resume')
  await until('serving again', async () => (await status()).node.phase === 'serving')
  const settings = await host.call('settings_get')
  await host.call('settings_set', { settings: { ...settings, using: { ...settings.using, port: await freePort() } } })
  await go('Developer')
  await page.getByLabel('Name of the program').fill('editor')
  await press('Make a key')
  const key = await page.getByText(/^cpk_/).innerText()
  const { address } = await until('the endpoint for programs', async () => { const it = await host.call('programs'); return it.address ? it : null })
  await page.getByText(address, { exact: true }).first().waitFor()
  const { models } = await host.call('offer')
  const asking = { model: models[0].id, messages: [{ role: 'user', content: 'Name a fruit.' }], max_tokens: 8 }
  const program = (shown) => fetch(`${address}/chat/completions`, { method: 'POST', headers: { Authorization: `Bearer ${shown}`, 'Content-Type': 'application/json' }, body: JSON.stringify(asking) })
  assert.equal((await program('cpk_unknown')).status, 401)
  const told = await until('an answer to the program', async () => { const answer = await program(key); return answer.ok ? answer.json() : null })
  assert.ok(told.usage.completion_tokens > 0)
  await page.getByRole('cell', { name: '/chat/completions' }).first().waitFor()
  await host.call('chat_session_close')
  say(`a program has asked with a key: ${told.usage.total_tokens} tokens, and the log says so`)

  const forecast = await host.call('forecast', { seconds: 3 })
  assert.ok(forecast.tokens_per_second > 0 && forecast.slowest <= forecast.fastest)
  assert.ok(forecast.money.least <= forecast.money.most && forecast.money.price > 0)
  say(`measured: ${forecast.tokens_per_second.toFixed(1)} tokens a second; at most ${forecast.money.most.toFixed(4)} USD an hour`)

  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme })
    for (const name of sections) {
      await go(name)
      await page.waitForTimeout(400)
      const { violations } = await new AxeBuilder({ page }).analyze()
      const grave = violations.filter((it) => ['serious', 'critical'].includes(it.impact))
      for (const it of grave) console.log(`${colorScheme} ${name}: ${it.id}: ${it.help}: ${it.nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`)
      seen.pages += 1
      seen.violations += grave.length
    }
  }
  assert.equal(seen.violations, 0, 'axe found something')
  // The other way round, and on a narrow screen: nothing may stick out.
  await page.setViewportSize({ width: 420, height: 860 })
  await page.evaluate(() => { document.documentElement.dir = 'rtl' })
  for (const name of sections) {
    await go(name)
    await page.waitForTimeout(200)
    const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth])
    assert.ok(wide <= room, `${name}: ${wide} px in ${room}`)
  }
  await page.evaluate(() => { document.documentElement.dir = 'ltr' })
  await page.setViewportSize({ width: 1280, height: 860 })

  await go('Privacy')
  await press('Leave now')
  await page.getByRole('alertdialog').getByRole('button', { name: 'Leave now' }).click()
  await page.getByRole('heading', { name: 'What remains' }).waitFor({ timeout: 90_000 })
  const gone = await status()
  assert.deepEqual([gone.earn, gone.node.phase, gone.node.engine_pid], [false, 'off', null])
  assert.ok((await host.call('consents')).filter((card) => ['share', 'reach'].includes(card.scope)).every((card) => !card.agreed))
  const parting = await host.call('earnings')
  assert.equal(parting.pending.amount, '0')
  const stake = parting.seats.reduce((all, seat) => all + Number(seat.staked.amount), 0)
  const left = await page.getByRole('table', { name: 'What remains' }).innerText()
  assert.equal(left.includes('at stake'), stake > 0, left)
  say(`left: ${left.split('\n').slice(1).join(' ').replaceAll('\t', ' ')}`)
  assert.deepEqual(troubles, [])
} catch (error) {
  failed = error
  console.error(error)
} finally {
  await browser.close()
}
const ended = await host.leave()
say(ended === 0 ? 'every process has left' : `the host ended with ${ended}`)
console.log(`pages=${seen.pages} violations=${seen.violations} ring=3 left=${ended === 0}`)
process.exit(failed || ended !== 0 ? 1 : 0)
