// The real window, on a real display and a real bus: what opens, what the tray does, and what is left at the end.
// Wants to be run as `dbus-run-session -- xvfb-run -a node e2e/window.mjs`; `make window-test` does.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { until } from './until.mjs'

const target = process.env.CARGO_TARGET_DIR ?? `${process.env.HOME}/.cache/computepool/target`
const program = process.env.COMPUTEPOOL_DESKTOP ?? join(target, 'debug/computepool-desktop')
const TICK_MS = 10
const TITLE = 'ComputePool'
const began = Date.now()
const say = (text) => console.log(`[${((Date.now() - began) / 1000).toFixed(1).padStart(5)} s] ${text}`)
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const home = mkdtempSync(join(tmpdir(), 'computepool-window-'))
// What the shell keeps of its own is kept in here too.
const environment = { ...process.env, HOME: home, XDG_CONFIG_HOME: join(home, '.config'), XDG_DATA_HOME: join(home, 'share'), XDG_CACHE_HOME: process.env.XDG_CACHE_HOME ?? `${process.env.HOME}/.cache`, TAURI_AUTOMATION: 'true', TAURI_WEBVIEW_AUTOMATION: 'true' }

/** The panel; a command gets an answer. */
function startDesk() {
  const child = spawn('/usr/bin/python3', [new URL('desk.py', import.meta.url).pathname], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => JSON.parse((await lines.next()).value)
  const ask = async (line) => {
    child.stdin.write(`${line}\n`)
    const said = await next()
    if (said?.error) throw new Error(`${line}: ${said.error}`)
    return said
  }
  const row = async (label) => (await ask('layout')).find((row) => row.label === label)
  const windows = async () => (await ask('windows')).filter((window) => window.title === TITLE)
  return { up: next(), ask, row, windows, end: () => child.kill() }
}

/** A window under WebDriver: https://www.w3.org/TR/webdriver2/ */
async function startWindow(port, ...args) {
  const driver = spawn('WebKitWebDriver', [`--port=${port}`], { stdio: 'inherit', env: environment })
  const base = `http://127.0.0.1:${port}`
  await until('the driver', () => fetch(`${base}/status`).then((answer) => answer.ok, () => false))
  const call = async (path, body) => {
    const answer = await fetch(base + path, { method: 'POST', body: JSON.stringify(body) })
    const { value } = await answer.json()
    if (value?.error) throw new Error(`${path}: ${value.error}: ${value.message}`)
    return value
  }
  const started = performance.now()
  const { sessionId } = await call('/session', { capabilities: { alwaysMatch: { 'webkitgtk:browserOptions': { binary: program, args } } } })
  const run = (script, ...args) => call(`/session/${sessionId}/execute/sync`, { script, args })
  const text = () => run('return document.body.innerText')
  await until('a usable page', () => run('return Boolean(document.querySelector("h1"))'), 30_000)
  const usable = performance.now() - started
  /** What the page itself could ask for. */
  const command = async (name, args = {}) => {
    const script = 'const [name, args, done] = arguments; window.__TAURI_INTERNALS__.invoke("command", { name, args }).then((ok) => done({ ok }), (problem) => done({ problem }))'
    const said = await call(`/session/${sessionId}/execute/async`, { script, args: [name, args] })
    if (said.problem) throw new Error(`${name}: ${said.problem.message}`)
    return said.ok
  }
  const end = async () => {
    await fetch(`${base}/session/${sessionId}`, { method: 'DELETE' }).catch(() => null)
    driver.kill()
  }
  return { usable, run, text, command, end, pid: () => own(driver.pid)[0]?.pid }
}

/** Processes that a process has started, theirs too. */
function own(pid) {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      const status = readFileSync(`/proc/${name}/status`, 'utf8')
      const rss = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0)
      return [{ pid: Number(name), parent: Number(fields[1]), state: fields[0], ticks: Number(fields[11]) + Number(fields[12]), rss, name: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')) }]
    } catch {
      return []
    }
  })
  const below = (parent) => all.filter((it) => it.parent === parent && it.state !== 'Z').flatMap((it) => [it, ...below(it.pid)])
  return below(pid)
}

const alive = (pid) => {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
const mb = (processes) => Math.round(processes.reduce((all, it) => all + it.rss, 0) / 1024)
const desk = startDesk()
await desk.up
const seen = {}
let failed = null
const ends = []
try {
  // First, the application as somebody finds it who starts it: no network, nothing agreed to.
  const data = join(home, 'first')
  const window = await startWindow(4461, '--data', data)
  ends.push(window.end)
  seen.usable_ms = Math.round(window.usable)
  assert.equal((await desk.windows()).length, 1)
  say(`the window can be used ${seen.usable_ms} ms after the start, the driver's part included`)

  const host = window.pid()
  const processes = () => [own(process.pid).find((it) => it.pid === host), ...own(host)].filter(Boolean)
  const cost = async () => {
    const [then, before] = [performance.now(), new Map(processes().map((it) => [it.pid, it.ticks]))]
    await pause(10_000)
    const now = processes()
    if (process.env.VERBOSE) for (const it of now) console.log(it.name, it.ticks - (before.get(it.pid) ?? 0))
    const spent = now.reduce((all, it) => all + it.ticks - (before.get(it.pid) ?? 0), 0)
    return ((spent * TICK_MS * 100) / (performance.now() - then)).toFixed(2)
  }
  // The first picture moves for twelve seconds.
  await pause(13_000)
  seen.idle_cpu_percent = await cost()
  const webview = own(host).filter((it) => /WebKit/.test(it.name))
  seen.host_mb = mb(processes()) - mb(webview)
  seen.webview_mb = mb(webview)
  say(`idle with its window open: ${seen.idle_cpu_percent} % of a processor, host ${seen.host_mb} MB, webview ${seen.webview_mb} MB`)

  const first = await until('a tray', async () => (await desk.ask('layout'))[0])
  assert.match(first.label, /^Not sharing/, 'the first row is the state and its reason')
  assert.equal((await desk.row('Earn')).on, false)
  await desk.ask('click Earn')
  await until('Earn in the tray', async () => (await desk.row('Earn')).on)
  assert.equal((await window.command('status')).earn, true)
  assert.equal((await window.command('host')).tray, true)
  await window.command('settings_set', { settings: { ...(await window.command('settings_get')), setup: { step: 6, done: true, intent: 'both' } } })
  await window.run('location.hash = ""; location.reload()')
  const earn = 'return [...document.querySelectorAll("[role=switch]")].map((it) => it.getAttribute("aria-checked")).join()'
  await until('the switch is on', async () => (await window.run(earn)).startsWith('true'))
  await desk.ask('click Earn')
  await until('the window follows', async () => (await window.run(earn)).startsWith('false'))
  say('the tray flips Earn, and the window follows')

  assert.equal((await window.command('host')).autostart, false, 'off until asked')
  assert.equal((await window.command('autostart_set', { on: true })).autostart, true)
  const entry = readdirSync(join(home, '.config/autostart')).map((name) => readFileSync(join(home, '.config/autostart', name), 'utf8'))
  assert.equal(entry.length, 1)
  assert.match(entry[0], /Exec=.*computepool-desktop.* --hidden/)
  assert.equal((await window.command('autostart_set', { on: false })).autostart, false)
  say('starts with the login when asked, and not any more when asked')

  await desk.ask(`close ${TITLE}`)
  await until('the window is hidden', async () => (await desk.windows()).length === 0)
  const notices = await until('it is told', async () => ((await desk.ask('notices')).length > 0 ? desk.ask('notices') : null))
  assert.match(notices[0].title, /goes on in the tray/)
  assert.ok(alive(host))
  await pause(2_000)
  seen.hidden_cpu_percent = await cost()
  say(`idle in the tray: ${seen.hidden_cpu_percent} % of a processor`)
  const link = 'computepool://join/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN?at=/ip4/127.0.0.1/tcp/9'
  const again = spawnSync(program, [link], { env: environment, timeout: 30_000 })
  assert.equal(again.status, 0, 'a second instance ends')
  const [shown] = await until('the window is back', async () => ((await desk.windows()).length > 0 ? desk.windows() : null))
  await until('it has the keyboard', async () => (await desk.windows())[0]?.focus || shown.focus, 10_000).then(() => (seen.focused = true), () => (seen.focused = false))
  await until('the invite is shown', async () => (await window.text()).includes('You were invited'))
  assert.equal((await window.command('settings_get')).sharing.invite, null, 'a link joins nothing')
  await desk.ask(`close ${TITLE}`)
  await until('hidden again', async () => (await desk.windows()).length === 0)
  await pause(500)
  assert.equal((await desk.ask('notices')).length, notices.length, 'it is told once')
  assert.equal(spawnSync(program, [], { env: environment, timeout: 30_000 }).status, 0)
  await until('back by a second start', async () => (await desk.windows()).length === 1)
  say('closed it goes on, and says so once; a link and a second start bring it back')
  const everyone = processes().map((it) => it.pid)
  await desk.ask('click Quit')
  await until('it has ended', () => !everyone.some(alive), 30_000)
  await window.end()
  say('quit: no process is left')

  // Then with a network around it, and work to hand over.
  const other = join(home, 'second')
  const served = await startWindow(4462, '--trial', '--nodes', '2', '--data', other)
  ends.push(served.end)
  const wallet = { name: 'main', passphrase: 'correct horse battery' }
  await served.command('wallet_create', { ...wallet, place: 'file' })
  await served.command('wallet_unlock', wallet)
  await served.command('wallet_faucet', { name: 'main' })
  await served.command('wallet_limits_preset', { name: 'main', preset: 'operator' })
  for (const card of await served.command('consents')) await served.command('consent_give', { scope: card.scope, version: card.version })
  const settings = await served.command('settings_get')
  await served.command('settings_set', { settings: { ...settings, rules: { ...settings.rules, when: { kind: 'always' } }, sharing: { ...settings.sharing, wallet: 'main' }, setup: { ...settings.setup, done: true } } })
  await until('the tray', async () => (await desk.row('Earn'))?.on === false)
  await desk.ask('click Earn')
  await until('serving', async () => (await served.command('status')).node.phase === 'serving', 120_000)
  await until('the tray says so', async () => (await desk.ask('layout'))[0].label === 'Sharing')
  const children = [served.pid(), ...own(served.pid()).map((it) => it.pid)]
  say(`serving, with ${children.length} processes`)
  await desk.ask('click Quit')
  const leaving = await until('the tray says that it leaves', async () => {
    const rows = await desk.ask('layout').catch(() => [])
    if (!alive(children[0])) return 'gone before it could be asked'
    return rows[0]?.label.startsWith('Leaving') ? rows[0].label : null
  }, 30_000)
  await until('every process has left', () => !children.some(alive), 60_000)
  say(`quit while serving (${leaving}): no process is left`)
  await served.end()
} catch (error) {
  failed = error
  console.error(error)
} finally {
  for (const end of ends) await end()
  desk.end()
  rmSync(home, { recursive: true, force: true })
}
console.log(Object.entries(seen).map(([name, value]) => `${name}=${value}`).join(' '))
process.exit(failed ? 1 : 0)
