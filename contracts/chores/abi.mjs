// Writes abi/NAME.json for the contracts that the programs deploy and call: interface and creation code, from Forge's
// output. What a clone or a library hides is listed as well, so that its events can be read.
//   node chores/abi.mjs           writes the files
//   node chores/abi.mjs --check   compares them and changes nothing
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CONTRACTS = ['DevUsdc', 'Coalition', 'BondAccount', 'Session', 'SessionEscrow', 'Deployer'];

const here = join(dirname(fileURLToPath(import.meta.url)), '..');
const stale = [];
mkdirSync(join(here, 'abi'), { recursive: true });
for (const name of CONTRACTS) {
  const built = JSON.parse(readFileSync(join(here, 'out', `${name}.sol`, `${name}.json`), 'utf8'));
  const { abi, bytecode } = built;
  if (Object.keys(bytecode.linkReferences).length > 0) throw new Error(`${name} wants libraries`);
  const lines = abi.map((entry) => `    ${JSON.stringify(entry)}`).join(',\n');
  const text = `{\n  "abi": [\n${lines}\n  ],\n  "bytecode": ${JSON.stringify(bytecode.object)}\n}\n`;
  const file = join(here, 'abi', `${name}.json`);
  if (process.argv.includes('--check')) {
    if (!existsSync(file) || readFileSync(file, 'utf8') !== text) stale.push(`abi/${name}.json`);
  } else {
    writeFileSync(file, text);
  }
}
if (stale.length > 0) {
  console.error(`differ from the contracts: ${stale.join(', ')}; run: node chores/abi.mjs`);
  process.exit(1);
}
