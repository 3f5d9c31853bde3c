// Takes from Superfluid's npm package what a deployment needs and writes superfluid/artifacts.json.
//   node superfluid/extract.mjs           writes the file
//   node superfluid/extract.mjs --check   compares it with the package and changes nothing
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../chores/forge.mjs';
import { keep, unpacked } from '../chores/package.mjs';

const PACKAGE = {
  name: '@superfluid-finance/ethereum-contracts',
  version: '1.15.2',
  integrity: 'sha512-pvNZvjR72VNdVsUyk0AEsyU8nhk3ClFI9IDfpDVgHaeupugUzrtrsWAwr8s9iAbNgC7uS4e3/kz1Afd+aK5H7Q==',
};

// In the order in which a deployment needs them. ISuperToken's functions are part of SuperToken's.
const CONTRACTS = {
  TestGovernance: 'utils',
  SimpleForwarder: 'utils',
  ERC2771Forwarder: 'utils',
  SimpleACL: 'utils',
  Superfluid: 'superfluid',
  ConstantFlowAgreementV1: 'agreements',
  SuperfluidPool: 'agreements/gdav1',
  SuperfluidUpgradeableBeacon: 'upgradability',
  SlotsBitmapLibrary: 'libs',
  SuperfluidPoolDeployerLibrary: 'agreements/gdav1',
  GeneralDistributionAgreementV1: 'agreements/gdav1',
  UUPSProxy: 'upgradability',
  PoolAdminNFT: 'agreements/gdav1',
  CFAv1Forwarder: 'utils',
  GDAv1Forwarder: 'utils',
  SuperToken: 'superfluid',
  SuperTokenFactory: 'superfluid',
};

/** Byte offsets of every library's address in the creation code; the places themselves are zero. */
function unlinked({ bytecode, linkReferences }) {
  const places = {};
  for (const libraries of Object.values(linkReferences))
    for (const [library, spots] of Object.entries(libraries)) places[library] = spots.map((spot) => spot.start);
  for (const start of Object.values(places).flat()) {
    const at = 2 + 2 * start;
    bytecode = bytecode.slice(0, at) + '0'.repeat(40) + bytecode.slice(at + 40);
  }
  return { bytecode, linkReferences: places };
}

function artifact(folder, name) {
  const read = JSON.parse(
    readFileSync(join(folder, 'build/hardhat/contracts', CONTRACTS[name], `${name}.sol`, `${name}.json`), 'utf8'),
  );
  const { bytecode, linkReferences } = unlinked(read);
  if (!/^0x([0-9a-f]{2})+$/.test(bytecode)) throw new Error(`${name}: creation code has unknown places`);
  return { abi: read.abi, bytecode, linkReferences };
}

/** ERC-1820's creation transaction, signed by nobody's key (its signature is made up): one address on every chain. */
function registry(folder) {
  const { bin } = JSON.parse(readFileSync(join(folder, 'dev-scripts/artifacts/ERC1820Registry.json'), 'utf8'));
  const made = '1820'.repeat(16);
  return {
    address: '0x1820a4B7618BdE71Dce8cdc73aAB6C95905faD24',
    sender: '0xa990077c3205cbDf861e17Fa532eeB069cE9fF96',
    value: '80000000000000000',
    bytecode: `0x${bin}`,
    signedTransaction: `0xf90a388085174876e800830c35008080b909e5${bin}1ba0${made}a0${made}`,
  };
}

function extract() {
  const folder = unpacked(PACKAGE);
  const contracts = Object.keys(CONTRACTS).map(
    (name) => `    ${JSON.stringify(name)}: ${JSON.stringify(artifact(folder, name))}`,
  );
  const source = { package: PACKAGE.name, version: PACKAGE.version, integrity: PACKAGE.integrity, notice: 'NOTICE.md' };
  return [
    '{',
    `  "source": ${JSON.stringify(source)},`,
    `  "erc1820": ${JSON.stringify(registry(folder))},`,
    '  "contracts": {',
    contracts.join(',\n'),
    '  }',
    '}',
    '',
  ].join('\n');
}

keep(join(root, 'superfluid', 'artifacts.json'), extract(), PACKAGE);
