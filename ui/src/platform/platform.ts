// The only door to a host. What a page can ask is the table of commands, and nothing else.
import type { Commands, HostEvent, Problem } from './generated/commands'

export type * from './generated/commands'

export type Command = keyof Commands
export type Args<C extends Command> = Commands[C]['args']
export type Result<C extends Command> = Commands[C]['result']

/** A host, whichever carries the page. */
export interface Platform {
  call<C extends Command>(name: C, args: Args<C>): Promise<Result<C>>
  /** Hears what happens; `null` says that something was missed, and everything should be asked for anew. */
  listen(hear: (event: HostEvent | null) => void): () => void
  open(url: string): void
}

/** What went wrong, with a code, a sentence, and what to do. */
export class HostError extends Error {
  readonly code: string
  readonly hint: string | null

  constructor(problem: Problem) {
    super(problem.message)
    this.name = 'HostError'
    this.code = problem.code
    this.hint = problem.hint
  }
}

/** Anything thrown, as something that can be shown. */
export function problemOf(error: unknown): Problem {
  if (error instanceof HostError) return { code: error.code, message: error.message, hint: error.hint }
  const message = error instanceof Error ? error.message : String(error)
  return { code: 'page', message, hint: null }
}
