// Where the contracts lie and what runs Forge, which npm brings.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** What Foundry calls this machine. */
export const machine = `${process.platform}-${process.arch === 'x64' ? 'amd64' : process.arch}`;

/** Forge's own program. */
export function forge() {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  return createRequire(import.meta.url).resolve(`@foundry-rs/forge-${machine}/bin/forge${suffix}`);
}
