// A headless host with a real network around it, and a real browser on its page.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'

const program = process.env.COMPUTEPOOL ?? join(process.env.CARGO_TARGET_DIR ?? `${process.env.HOME}/.cache/computepool/target`, 'debug/computepool')

/** Starts a host; `secrets` fills with what it shows beside its page. */
export async function startHost(...more) {
  const data = mkdtempSync(join(tmpdir(), 'computepool-e2e-'))
  const page = new URL('../dist', import.meta.url).pathname
  const child = spawn(program, ['desktop', '--supervised', '--data', data, '--page', page, ...more], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const first = JSON.parse((await lines.next()).value ?? 'null')
  if (!first) throw new Error('the host did not come up')
  const secrets = []
  void (async () => {
    for await (const line of lines) secrets.push(JSON.parse(line))
  })()
  const call = async (name, args = {}) => {
    const headers = { Authorization: `Bearer ${first.token}`, 'Content-Type': 'application/json' }
    const answer = await fetch(`${first.api}/command/${name}`, { method: 'POST', headers, body: JSON.stringify(args) })
    const body = await answer.json()
    if (!answer.ok) throw new Error(`${name}: ${body.message}`)
    return body
  }
  /** Lets it hand over and end; its exit status. */
  const leave = async () => {
    const ended = new Promise((resolve) => child.on('exit', resolve))
    child.stdin.end()
    const status = await ended
    rmSync(data, { recursive: true, force: true })
    return status
  }
  return { ...first, data, child, secrets, call, leave }
}

export async function startBrowser() {
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
  return chromium.launch({ executablePath, args: ['--no-sandbox'] })
}

export const sections = ['Home', 'Playground', 'Earnings', 'Pools', 'Wallet', 'Models', 'Privacy', 'Developer', 'Settings']
