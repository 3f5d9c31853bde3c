// Runs the contracts' tests and prints what ran, and one line of figures: tests, fuzz_runs, invariants, invariant_calls.
import { spawnSync } from 'node:child_process';
import { forge, root } from './forge.mjs';

const run = spawnSync(forge(), ['test', '--json', '--no-match-contract', 'GasTest'], {
  cwd: root,
  encoding: 'utf8',
  maxBuffer: 1 << 28,
  stdio: ['ignore', 'pipe', 'inherit'],
});
const line = run.stdout.split('\n').find((text) => text.startsWith('{'));
if (line === undefined) {
  console.error(run.stdout);
  console.error(run.error ?? 'forge told nothing of its tests');
  process.exit(1);
}

const sum = { tests: 0, fuzz_runs: 0, invariants: 0, invariant_calls: 0 };
let failed = 0;
for (const [suite, { test_results }] of Object.entries(JSON.parse(line))) {
  const results = Object.entries(test_results);
  console.log(`${suite.split(':')[1]}: ${results.length} tests`);
  for (const [name, { status, reason, counterexample, kind }] of results) {
    sum.tests += 1;
    sum.fuzz_runs += kind.Fuzz?.runs ?? 0;
    sum.invariants += kind.Invariant === undefined ? 0 : 1;
    sum.invariant_calls += kind.Invariant?.calls ?? 0;
    if (status === 'Success') continue;
    failed += 1;
    console.log(`  ${status} ${name}: ${reason ?? 'no reason'} ${JSON.stringify(counterexample ?? '')}`);
  }
}
console.log(Object.entries(sum).map(([key, value]) => `${key}=${value}`).join(' '));
process.exit(failed > 0 || sum.tests === 0 || run.status !== 0 ? 1 : 0);
