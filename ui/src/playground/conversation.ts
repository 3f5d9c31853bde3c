// A conversation as a tree: every message knows the one before it, so that an edit or another answer is a branch and
// nothing is lost. Pure; what happens is passed in.
import type { AnswerPiece, AnswerSummary, Message, Problem } from '../platform'

export interface Node {
  id: string
  parent: string | null
  role: 'user' | 'assistant'
  text: string
  /** Of an answer: the model that gave it. */
  model?: string
  state?: 'waiting' | 'running' | 'done' | 'stopped' | 'failed'
  summary?: AnswerSummary
  problem?: Problem
}

export interface Conversation {
  nodes: Record<string, Node>
  /** The last message of the branch that is shown. */
  tip: string | null
  system: string
}

export const nothing: Conversation = { nodes: {}, tip: null, system: '' }

/** The messages of the branch that is shown, first to last. */
export function branch(conversation: Conversation, tip = conversation.tip): Node[] {
  const found: Node[] = []
  let at = tip === null ? undefined : conversation.nodes[tip]
  while (at) {
    found.unshift(at)
    at = at.parent === null ? undefined : conversation.nodes[at.parent]
  }
  return found
}

/** A message and those in whose place it could stand, in the order in which they came. */
export function siblings(conversation: Conversation, node: Node): Node[] {
  return Object.values(conversation.nodes).filter((other) => other.parent === node.parent && other.role === node.role)
}

/** The newest end of everything that follows from a message. */
export function leaf(conversation: Conversation, id: string): string {
  const next = Object.values(conversation.nodes).findLast((node) => node.parent === id)
  return next ? leaf(conversation, next.id) : id
}

function add(conversation: Conversation, node: Node): Conversation {
  return { ...conversation, nodes: { ...conversation.nodes, [node.id]: node }, tip: node.id }
}

export function ask(conversation: Conversation, id: string, text: string, parent = conversation.tip): Conversation {
  return add(conversation, { id, parent, role: 'user', text })
}

export function awaitAnswer(conversation: Conversation, id: string, model: string, parent: string): Conversation {
  return add(conversation, { id, parent, role: 'assistant', text: '', model, state: 'waiting' })
}

export function show(conversation: Conversation, id: string): Conversation {
  return { ...conversation, tip: leaf(conversation, id) }
}

/** More of an answer, or its end. What belongs to no answer of this conversation changes nothing. */
export function hear(conversation: Conversation, answer: string, piece: AnswerPiece): Conversation {
  const node = conversation.nodes[answer]
  if (!node || node.role !== 'assistant') return conversation
  const put = (change: Partial<Node>): Conversation => ({ ...conversation, nodes: { ...conversation.nodes, [answer]: { ...node, ...change } } })
  switch (piece.kind) {
    case 'text':
      return put({ text: node.text + piece.text, state: 'running' })
    case 'done':
      return put({ state: 'done', summary: piece.summary })
    case 'stopped':
      return put({ state: 'stopped' })
    case 'failed':
      return put({ state: 'failed', problem: piece.problem })
  }
}

/** What is sent: the rules, and the branch up to the question. An answer that broke off is part of it as far as it came. */
export function messages(conversation: Conversation, tip: string): Message[] {
  const said: Message[] = branch(conversation, tip)
    .filter((node) => node.text !== '')
    .map((node) => ({ role: node.role, content: node.text }))
  return conversation.system.trim() === '' ? said : [{ role: 'system', content: conversation.system }, ...said]
}

/** A title: the first words of the first question. */
export function titleOf(conversation: Conversation): string {
  const first = Object.values(conversation.nodes).find((node) => node.parent === null)?.text ?? ''
  const line = first.trim().split('\n')[0] ?? ''
  return line.length > 60 ? `${line.slice(0, 59)}…` : line
}

/** Whether an answer is under way. */
export function running(conversation: Conversation): Node[] {
  return Object.values(conversation.nodes).filter((node) => node.state === 'waiting' || node.state === 'running')
}

/** A conversation as it was kept; what was under way then is not any more. */
export function restore(body: unknown): Conversation {
  const kept = body as Partial<Conversation> | null
  if (!kept || typeof kept.nodes !== 'object' || kept.nodes === null) return nothing
  const nodes = Object.fromEntries(
    Object.entries(kept.nodes).map(([id, node]) => [id, node.state === 'waiting' || node.state === 'running' ? { ...node, state: 'stopped' as const } : node]),
  )
  return { nodes, tip: kept.tip ?? null, system: kept.system ?? '' }
}
