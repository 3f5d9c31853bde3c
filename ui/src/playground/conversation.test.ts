import { expect, test } from 'vitest'
import { ask, awaitAnswer, branch, type Conversation, hear, messages, nothing, restore, running, show, siblings, titleOf } from './conversation'
import { snippet } from './snippets'

const summary = { finish: 'stop', prompt_tokens: 3, tokens: 2, first_ms: 5, total_ms: 9, shards: [] }

function talk(): Conversation {
  let all = ask(nothing, 'q1', 'What is a\nlighthouse?')
  all = awaitAnswer(all, 'a1', 'm', 'q1')
  all = hear(all, 'a1', { kind: 'text', text: 'A to' })
  all = hear(all, 'a1', { kind: 'text', text: 'wer.' })
  return hear(all, 'a1', { kind: 'done', summary })
}

test('an answer grows and ends', () => {
  const all = talk()
  expect(branch(all).map((node) => node.text)).toEqual(['What is a\nlighthouse?', 'A tower.'])
  expect(all.nodes.a1).toMatchObject({ state: 'done', summary })
  expect(titleOf(all)).toBe('What is a')
  expect(running(all)).toEqual([])
})

test('another answer and an edited question are branches, and nothing is lost', () => {
  let all = awaitAnswer(talk(), 'a2', 'm', 'q1')
  all = hear(all, 'a2', { kind: 'text', text: 'A lamp.' })
  expect(branch(all).map((node) => node.id)).toEqual(['q1', 'a2'])
  expect(siblings(all, all.nodes.a2!).map((node) => node.id)).toEqual(['a1', 'a2'])
  all = ask(all, 'q2', 'And a buoy?', null)
  expect(branch(all).map((node) => node.id)).toEqual(['q2'])
  all = show(all, 'q1')
  expect(branch(all).map((node) => node.id)).toEqual(['q1', 'a2'])
  expect(branch(show(all, 'a1')).at(-1)?.text).toBe('A tower.')
})

test('what is sent is the branch that was asked, with its rules', () => {
  const all = { ...ask(talk(), 'q2', 'Why?'), system: 'Be brief.' }
  expect(messages(all, 'q2').map((message) => `${message.role}: ${message.content}`)).toEqual([
    'system: Be brief.',
    'user: What is a\nlighthouse?',
    'assistant: A tower.',
    'user: Why?',
  ])
})

test('pieces of other answers change nothing, and trouble is kept with its answer', () => {
  const all = talk()
  expect(hear(all, 'unknown', { kind: 'stopped' })).toBe(all)
  expect(hear(all, 'q1', { kind: 'stopped' })).toBe(all)
  const problem = { code: 'node_lost', message: 'gone', hint: null }
  expect(hear(all, 'a1', { kind: 'failed', problem }).nodes.a1).toMatchObject({ state: 'failed', problem, text: 'A tower.' })
})

test('what was under way when it was kept is not any more, and nonsense is nothing', () => {
  const kept = JSON.parse(JSON.stringify(awaitAnswer(talk(), 'a2', 'm', 'q1'))) as unknown
  expect(restore(kept).nodes.a2?.state).toBe('stopped')
  expect(restore(null)).toEqual(nothing)
  expect(restore({ nodes: 7 })).toEqual(nothing)
})

test('snippets say what was asked, and quote it', () => {
  const question = [{ role: 'user' as const, content: `it's "x"` }]
  expect(snippet('curl', 'http://h/v1', 'm', question, { temperature: 0.5, top_k: null })).toContain(`it'\\''s`)
  const python = snippet('python', 'http://h/v1', 'm', question, { top_k: 4, seed: 7 })
  expect(python).toContain('extra_body={"top_k": 4}')
  expect(python).toContain('seed=7')
  expect(snippet('javascript', 'http://h/v1', 'm', question, {})).toContain('baseURL: "http://h/v1"')
})
