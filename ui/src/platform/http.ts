// The headless host: commands and events over loopback, with the token that it gave its owner in the link.
import type { HostEvent, Problem } from './generated/commands'
import { type Args, type Command, HostError, type Platform, type Result } from './platform'

const KEPT = 'computepool-token'

/** Takes the token out of the address bar, and keeps it for this tab alone. */
export function takeToken(where: Location, storage: Storage, forget: (address: string) => void): string {
  const given = new URLSearchParams(where.hash.slice(1)).get('token')
  if (given !== null) {
    storage.setItem(KEPT, given)
    forget(where.pathname + where.search)
  }
  return given ?? storage.getItem(KEPT) ?? ''
}

/** Reads server-sent events from a body of text, however it was cut. */
export async function* readEvents(chunks: AsyncIterable<string>): AsyncGenerator<HostEvent> {
  let pending = ''
  for await (const chunk of chunks) {
    pending += chunk
    let end = pending.indexOf('\n\n')
    while (end >= 0) {
      const block = pending.slice(0, end)
      pending = pending.slice(end + 2)
      if (block.startsWith('data: ')) yield JSON.parse(block.slice(6)) as HostEvent
      end = pending.indexOf('\n\n')
    }
  }
}

async function* texts(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    yield value
  }
}

const gone: Problem = {
  code: 'host_gone',
  message: 'ComputePool does not answer: it has ended, or was started anew.',
  hint: 'Start it again, and open the link that it prints.',
}

export function httpPlatform(): Platform {
  const token = takeToken(location, sessionStorage, (address) => history.replaceState(null, '', address))
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }

  async function call<C extends Command>(name: C, args: Args<C>): Promise<Result<C>> {
    const asked = fetch(`/command/${name}`, { method: 'POST', headers, body: JSON.stringify(args) })
    const answer = await asked.catch(() => {
      throw new HostError(gone)
    })
    const body: unknown = await answer.json().catch(() => null)
    if (answer.ok) return body as Result<C>
    throw new HostError({ ...gone, ...(body as Partial<Problem>), ...(answer.status === 401 ? { code: 'unauthorized' } : {}) })
  }

  function listen(hear: (event: HostEvent | null) => void) {
    const stop = new AbortController()
    const run = async () => {
      let pause = 250
      while (!stop.signal.aborted) {
        try {
          const answer = await fetch('/events', { headers, signal: stop.signal })
          if (answer.ok && answer.body) {
            pause = 250
            hear(null)
            for await (const event of readEvents(texts(answer.body))) hear(event)
          }
        } catch {
          // Tried again, a little later each time.
        }
        await new Promise((resolve) => setTimeout(resolve, pause))
        pause = Math.min(pause * 2, 5000)
      }
    }
    void run()
    return () => stop.abort()
  }

  return { call, listen, open: (url) => void window.open(url, '_blank', 'noopener,noreferrer') }
}
