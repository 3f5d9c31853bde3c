// Puts Foundry's programs for this machine where npm would: npm passes them over in silence where Node.js is older than they
// ask for (Debian 12, Ubuntu 24.04), though they are programs of their own and need none.
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { machine, root } from './forge.mjs';
import { unpacked } from './package.mjs';

const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
for (const program of ['anvil', 'cast', 'forge']) {
  const name = `@foundry-rs/${program}-${machine}`;
  const place = join(root, 'node_modules', name);
  if (existsSync(place)) continue;
  const { version, integrity } = packages[`node_modules/${name}`] ?? {};
  if (!integrity) {
    console.error(`Foundry's ${program} is not known for ${machine}: put it on the path by hand, or name anvil with COMPUTEPOOL_ANVIL`);
    process.exit(1);
  }
  cpSync(unpacked({ name, version, integrity }), place, { recursive: true });
}
