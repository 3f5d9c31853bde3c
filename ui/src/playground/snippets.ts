// The same question for programs.
import type { Message, Sampling } from '../platform'

export type SnippetLanguage = 'curl' | 'python' | 'javascript'

/** Leaves out what is not set. */
function set(sampling: Partial<Sampling>): Record<string, number> {
  return Object.fromEntries(Object.entries(sampling).filter((entry): entry is [string, number] => typeof entry[1] === 'number'))
}

export function snippet(language: SnippetLanguage, endpoint: string, model: string, messages: Message[], sampling: Partial<Sampling>): string {
  const body = { model, messages, ...set(sampling), stream: true }
  if (language === 'curl') {
    const quoted = JSON.stringify(body, null, 2).replaceAll("'", "'\\''")
    return `curl ${endpoint}/chat/completions \\\n  -H 'Authorization: Bearer YOUR_KEY' \\\n  -H 'Content-Type: application/json' \\\n  -d '${quoted}'`
  }
  const { top_k, ...known } = set(sampling)
  if (language === 'python') {
    const extra = top_k === undefined ? '' : `    extra_body={"top_k": ${top_k}},\n`
    const options = Object.entries(known).map(([name, value]) => `    ${name}=${value},\n`)
    return `from openai import OpenAI\n\nclient = OpenAI(base_url=${JSON.stringify(endpoint)}, api_key="YOUR_KEY")\nstream = client.chat.completions.create(\n    model=${JSON.stringify(model)},\n    messages=${JSON.stringify(messages)},\n${options.join('')}${extra}    stream=True,\n)\nfor chunk in stream:\n    print(chunk.choices[0].delta.content or "", end="", flush=True)`
  }
  return `import OpenAI from 'openai'\n\nconst client = new OpenAI({ baseURL: ${JSON.stringify(endpoint)}, apiKey: 'YOUR_KEY' })\nconst stream = await client.chat.completions.create(${JSON.stringify(body, null, 2)})\nfor await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? '')`
}
