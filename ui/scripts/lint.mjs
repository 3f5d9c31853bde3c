// What a compiler does not see: who may talk to a host, what a webview cannot do, and how long a file may be.
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

const root = new URL('../src/', import.meta.url).pathname
const files = readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
  .map((entry) => join(entry.parentPath, entry.name))

const rules = [
  { what: 'only src/platform talks to a host', bad: /@tauri-apps\/|\bfetch\(|XMLHttpRequest|WebSocket|EventSource/, except: /^platform\// },
  { what: 'no canvas and no WebGL: WebKitGTK is slow at them', bad: /<canvas|getContext\(/ },
  { what: 'no raw HTML', bad: /dangerouslySetInnerHTML|innerHTML/ },
  { what: 'logical properties, for languages that run the other way', bad: /\b(?:ml|mr|pl|pr|left|right)-\d|text-(?:left|right)\b/ },
  { what: 'words for people stand in src/i18n', bad: />[A-Z][a-z]+ [a-z]+ [a-z]+[^<{]*<\//, except: /^i18n\// },
]
const wrong = []
for (const file of files) {
  const name = relative(root, file).replaceAll('\\', '/')
  if (name.startsWith('platform/generated/')) continue
  const lines = readFileSync(file, 'utf8').split('\n')
  if (lines.length > 400) wrong.push(`${name}: ${lines.length} lines`)
  lines.forEach((line, index) => {
    for (const rule of rules) {
      if (rule.except?.test(name) || /\.test\.tsx?$/.test(name)) continue
      if (rule.bad.test(line)) wrong.push(`${name}:${index + 1}: ${rule.what}: ${line.trim()}`)
    }
  })
}
for (const line of wrong) console.error(line)
console.log(`lint: ${files.length} files, ${wrong.length} wrong`)
process.exit(wrong.length ? 1 : 0)
