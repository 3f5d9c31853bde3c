// Where the contracts lie and what runs Forge, which npm brings.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

const platform = process.platform === 'win32' ? 'win32' : process.platform;
const cpu = process.arch === 'x64' ? 'amd64' : process.arch;
const suffix = process.platform === 'win32' ? '.exe' : '';
export const forge = createRequire(import.meta.url).resolve(
  `@foundry-rs/forge-${platform}-${cpu}/bin/forge${suffix}`,
);
