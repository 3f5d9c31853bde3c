// Runs Slither over the contracts and holds its findings against slither.md: each must be answered there, and each answer
// must still have its finding. Prints one line of figures: slither=<findings>, unanswered=<number>.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { forge, root } from './forge.mjs';

const slither = process.argv[2] ?? 'slither';
const report = join(root, 'out', 'slither.json');
mkdirSync(dirname(report), { recursive: true });
rmSync(report, { force: true });
const run = spawnSync(slither, ['.', '--filter-paths', 'node_modules|test/', '--json', report], {
  cwd: root,
  encoding: 'utf8',
  maxBuffer: 1 << 28,
  env: { ...process.env, PATH: `${dirname(forge())}${process.platform === 'win32' ? ';' : ':'}${process.env.PATH}` },
});

let read;
try {
  read = JSON.parse(readFileSync(report, 'utf8'));
} catch (why) {
  console.error(`${run.stdout ?? ''}${run.stderr ?? ''}\n${run.error ?? why}`);
  process.exit(1);
}
if (!read.success) {
  console.error(read.error);
  process.exit(1);
}

/** `detector` and `Contract.name` of a finding's first element. */
function place({ check, elements: [first] }) {
  let parent = first.type_specific_fields?.parent;
  if (first.type === 'variable' && parent?.type === 'function') parent = parent.type_specific_fields.parent;
  return { check, where: parent?.name === undefined ? first.name : `${parent.name}.${first.name}` };
}

// Rows of slither.md's tables: | detector | `where`, `where` … or all | answer |
const answers = new Map();
for (const text of readFileSync(join(root, 'slither.md'), 'utf8').split('\n')) {
  const row = text.match(/^\| ([a-z0-9-]+) \| (.+?) \| .+ \|$/);
  if (row === null) continue;
  const where = row[2] === 'all' ? ['*'] : [...row[2].matchAll(/`([^`]+)`/g)].map((found) => found[1]);
  for (const one of where) answers.set(`${row[1]} ${one}`, false);
}

const findings = (read.results.detectors ?? []).map(place);
const unanswered = new Set();
for (const { check, where } of findings) {
  const key = [`${check} ${where}`, `${check} *`].find((one) => answers.has(one));
  if (key === undefined) unanswered.add(`${check} ${where}`);
  else answers.set(key, true);
}
const stale = [...answers].filter(([, used]) => !used).map(([key]) => key);
for (const one of unanswered) console.log(`slither: not answered in slither.md: ${one}`);
for (const one of stale) console.log(`slither: answered, and not found any more: ${one}`);
console.log(`slither=${findings.length} unanswered=${unanswered.size}`);
process.exit(unanswered.size + stale.length > 0 ? 1 : 0);
