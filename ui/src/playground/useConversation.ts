// One conversation: asked through the host, kept by the host, and heard as it is answered.
import { useCallback, useEffect, useRef, useState } from 'react'
import { problemOf, type Sampling, usePlatform } from '../platform'
import { ask, awaitAnswer, branch, type Conversation, hear, messages, nothing, restore, running, show, titleOf } from './conversation'

const fresh = () => crypto.randomUUID()

export interface Asking {
  model: string
  sampling: Sampling
}

export function useConversation(id: string, onKept: () => void) {
  const host = usePlatform()
  const [conversation, setConversation] = useState<Conversation>(nothing)
  const [trouble, setTrouble] = useState<unknown>(null)
  const now = useRef(conversation)
  now.current = conversation

  useEffect(() => {
    let left = false
    setConversation(nothing)
    host.call('thread_get', { id }).then(
      (thread) => !left && setConversation(restore(thread.body)),
      () => {
        // There is none yet: it is kept with its first question.
      },
    )
    return () => {
      left = true
    }
  }, [host, id])

  const keep = useCallback(
    (all: Conversation) => {
      if (all.tip === null) return
      const thread = { id, title: titleOf(all), updated_ms: Date.now(), body: all }
      host.call('thread_put', { thread }).then(onKept, setTrouble)
    },
    [host, id, onKept],
  )

  useEffect(
    () =>
      host.listen((event) => {
        if (event?.kind !== 'answer' || !(event.answer in now.current.nodes)) return
        setConversation((all) => {
          const next = hear(all, event.answer, event.piece)
          if (event.piece.kind !== 'text') queueMicrotask(() => keep(next))
          return next
        })
      }),
    [host, keep],
  )

  const answer = useCallback(
    (all: Conversation, question: string, asking: Asking) => {
      const name = fresh()
      const next = awaitAnswer(all, name, asking.model, question)
      setConversation(next)
      keep(next)
      const sent = { answer: name, model: asking.model, messages: messages(next, question), sampling: asking.sampling }
      host.call('chat_start', sent).catch((error: unknown) => {
        setConversation((all) => hear(all, name, { kind: 'failed', problem: problemOf(error) }))
      })
    },
    [host, keep],
  )

  return {
    conversation,
    trouble,
    shown: branch(conversation),
    busy: running(conversation),
    setSystem: (system: string) => setConversation((all) => ({ ...all, system })),
    show: (node: string) => setConversation((all) => show(all, node)),
    ask(text: string, asking: Asking, parent: string | null = now.current.tip) {
      const question = fresh()
      answer(ask(now.current, question, text, parent), question, asking)
    },
    again: (question: string, asking: Asking) => answer(now.current, question, asking),
    stop() {
      for (const node of running(now.current)) void host.call('chat_stop', { answer: node.id })
    },
  }
}
