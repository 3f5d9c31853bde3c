// The chain on this machine, and the accounts that everybody knows: anvil's.

import { createWalletClient, defineChain, http, parseAbi, publicActions } from "viem";
import { mnemonicToAccount } from "viem/accounts";

const PHRASE = "test test test test test test test test test test test junk";

/** A devnet's network, by x402's name. */
export const NETWORK = "eip155:31337";

/** Account `index` of anvil's. */
export function known(index) {
  return mnemonicToAccount(PHRASE, { addressIndex: index });
}

/** Reads the devnet at `endpoint`, and writes to it as `account`. */
export function devnet(endpoint, account) {
  const chain = defineChain({
    id: 31337,
    name: "devnet",
    nativeCurrency: { name: "native", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [endpoint] } },
  });
  return createWalletClient({ account, chain, transport: http(), pollingInterval: 100 }).extend(publicActions);
}

/** Lets the token's faucet give to `account`, which pays the gas. */
export async function drip(endpoint, token, account) {
  const wallet = devnet(endpoint, account);
  const abi = parseAbi(["function faucet(address to)"]);
  const hash = await wallet.writeContract({ address: token, abi, functionName: "faucet", args: [account.address] });
  await wallet.waitForTransactionReceipt({ hash });
}
