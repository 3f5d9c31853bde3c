// The desktop host: the same commands and events, over the webview's own channel.
import { invoke } from '@tauri-apps/api/core'
import { listen as hearFrom } from '@tauri-apps/api/event'
import type { HostEvent, Problem } from './generated/commands'
import { type Args, type Command, HostError, type Platform, type Result } from './platform'

export function tauriPlatform(): Platform {
  return {
    async call<C extends Command>(name: C, args: Args<C>): Promise<Result<C>> {
      return invoke<Result<C>>('command', { name, args }).catch((problem: Problem) => {
        throw new HostError(problem)
      })
    },
    listen(hear) {
      const ending = hearFrom<HostEvent>('host', (event) => hear(event.payload))
      void ending.then(() => hear(null))
      return () => void ending.then((end) => end())
    },
    open: (url) => void invoke('open_outside', { url }),
  }
}
