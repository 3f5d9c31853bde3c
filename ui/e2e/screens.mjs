// A picture of every page, light and dark, empty and full, of the real application on a real network.
import { mkdirSync } from 'node:fs'
import { sections, startBrowser, startHost } from './host.mjs'
import { until } from './until.mjs'

const out = new URL('../../docs/screens/', import.meta.url).pathname
mkdirSync(out, { recursive: true })
const PASSPHRASE = 'correct horse battery'
const host = await startHost('--trial', '--shards', '3', '--nodes', '2')
const browser = await startBrowser()
let pictures = 0

async function everyPage(fill) {
  for (const colorScheme of ['light', 'dark']) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme, reducedMotion: 'reduce' })
    const page = await context.newPage()
    await page.goto(host.page)
    const shoot = async (name) => {
      await page.waitForTimeout(700)
      await page.screenshot({ path: `${out}${name}-${fill}-${colorScheme}.png` })
      pictures += 1
    }
    if (!(await host.call('settings_get')).setup.done) {
      await page.getByRole('heading', { level: 1 }).waitFor()
      await shoot('onboarding')
      if (colorScheme === 'light') await context.close()
      if (colorScheme === 'light') continue
      await page.getByRole('button', { name: 'Skip all of it' }).click()
    }
    await page.getByRole('link', { name: 'Home', exact: true }).first().waitFor()
    for (const name of sections) {
      await page.getByRole('link', { name, exact: true }).first().click()
      if (name === 'Playground' && fill === 'full') await page.getByRole('button', { name: /lighthouse/ }).first().click()
      await shoot(name.toLowerCase())
    }
    await context.close()
  }
}

async function emptyPages() {
  await everyPage('empty')
  // Light was left at the first step, so that onboarding is pictured in both.
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light', reducedMotion: 'reduce' })
  const page = await context.newPage()
  await page.goto(host.page)
  for (const name of sections) {
    await page.getByRole('link', { name, exact: true }).first().click()
    await page.waitForTimeout(700)
    await page.screenshot({ path: `${out}${name.toLowerCase()}-empty-light.png` })
    pictures += 1
  }
  await context.close()
}

/** The application in use: a wallet, consents, sharing, and two answers. */
async function fillIt() {
  await host.call('wallet_create', { name: 'main', place: 'file', passphrase: PASSPHRASE })
  await host.call('wallet_unlock', { name: 'main', passphrase: PASSPHRASE })
  await host.call('wallet_faucet', { name: 'main' })
  for (const scope of ['share', 'ask', 'pay']) await host.call('consent_give', { scope, version: '1' })
  for (const preset of ['operator', 'payer']) await host.call('wallet_limits_preset', { name: 'main', preset })
  const settings = await host.call('settings_get')
  settings.sharing = { ...settings.sharing, wallet: 'main', earn: true, name: 'den' }
  settings.using.wallet = 'main'
  settings.rules.when = { kind: 'always' }
  await host.call('settings_set', { settings })
  await until('serving', async () => (await host.call('status')).node.phase === 'serving')
  await until('a price', async () => (await host.call('offer')).paid)
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
  const page = await context.newPage()
  await page.goto(host.page)
  await page.getByRole('link', { name: 'Playground', exact: true }).first().click()
  for (const question of ['What is a lighthouse for? Answer with a short list.', 'And who looked after one?']) {
    const before = await page.getByText(/machines? answered/).count()
    await page.getByLabel('Your question').fill(question)
    await page.keyboard.press('Enter')
    await until('an answer', async () => (await page.getByText(/machines? answered/).count()) > before)
    // The first session ends, so that there is something that is settled to be shown; the second stays open.
    if (before === 0) {
      await host.call('chat_session_close')
      await until('settled', async () => (await host.call('wallet_paid', { name: 'main' })).some((it) => it.standing === 'closed'))
    }
  }
  await context.close()
}

let failed = null
try {
  await emptyPages()
  await fillIt()
  await everyPage('full')
} catch (error) {
  failed = error
  console.error(error)
}
await browser.close()
await host.leave()
console.log(`pictures=${pictures}`)
process.exit(failed ? 1 : 0)
