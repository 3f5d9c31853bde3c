// Measures what everything costs and compares it with snapshots/.
//   node chores/gas.mjs            prints the figures beside the protocol's own; fails where they differ from snapshots/
//   node chores/gas.mjs --record   writes snapshots/
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { forge, root } from './forge.mjs';

const COUNTS = [2, 4, 8];

// The bare protocol, measured once on the same byte code with standing pools: what our figures are to be read beside.
const PROTOCOL = [
  ['  of it: distributeFlow, reopened', [435130, 435118, 435142]],
  ['  of it: distributeFlow to zero', [476657, 459545, 459557]],
  ['open + close by a standing pool', [911787, 894663, 894699]],
  ['open + close by batched flows', [961658, 1751560, 3331004]],
  ['createPool and members, once', [965613, 1499473, 2601001]],
];

const recording = process.argv.includes('--record');
// Whole transactions (--isolate): with what a transaction costs as such, and with cold storage.
const run = spawnSync(forge(), ['test', '--match-contract', 'GasTest', '--isolate'], {
  cwd: root,
  encoding: 'utf8',
  env: { ...process.env, FORGE_SNAPSHOT_EMIT: String(recording), FORGE_SNAPSHOT_CHECK: String(!recording) },
});
if (run.status !== 0) {
  console.error(run.stdout + run.stderr);
  console.error('differs from snapshots/? If that is meant: node chores/gas.mjs --record');
  process.exit(1);
}

const measured = COUNTS.map((count) => JSON.parse(readFileSync(join(root, 'snapshots', `n${count}.json`), 'utf8')));
const row = (name, figures) =>
  console.log(name.padEnd(40) + figures.map((gas) => gas.toLocaleString('en-US').padStart(12)).join(''));
const of = (name) => measured.map((figures) => Number(figures[name]));

console.log(`${'gas, by operators'.padEnd(40)}${COUNTS.map((count) => String(count).padStart(12)).join('')}`);
for (const name of Object.keys(measured[0])) row(name.replace(/^\d+ /, ''), of(name));
const session = COUNTS.map((_, i) => of('1 open and start')[i] + of('5 close and refund')[i]);
row('open + close, voucher to refund', session);
console.log('\nthe bare protocol');
for (const [name, figures] of PROTOCOL) row(name, figures);

const [open, pause, start, close] = ['1 open and start', '2 pause', '3 start again', '5 close and refund'].map(of);
const figures = COUNTS.flatMap((count, i) => [
  `open${count}=${open[i]}`,
  `pause${count}=${pause[i]}`,
  `resume${count}=${start[i]}`,
  `close${count}=${close[i]}`,
]);
console.log(`\n${figures.join(' ')}`);
