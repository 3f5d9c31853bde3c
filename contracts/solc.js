#!/usr/bin/env node
// What Forge and Slither take for the Solidity compiler: npm's `solc`, answering the two calls that they make.
const solc = require('solc');

if (process.argv.includes('--version')) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else if (process.argv.includes('--standard-json')) {
  process.stdout.write(solc.compile(require('fs').readFileSync(0, 'utf8')));
} else {
  console.error('solc.js: only --version and --standard-json are answered');
  process.exitCode = 2;
}
