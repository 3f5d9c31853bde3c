// Sells one resource with x402's own packages: `node server.mjs RPC TOKEN AMOUNT PAY_TO`. Its facilitator is part of it and
// executes payments as the fourth of anvil's accounts. Says where it listens, in one line of JSON, and ends with its
// standard input.

import express from "express";
import { x402Facilitator } from "@x402/core/facilitator";
import { toFacilitatorEvmSigner } from "@x402/evm";
import { registerExactEvmScheme } from "@x402/evm/exact/facilitator";
import { ExactEvmScheme } from "@x402/evm/exact/server";
import { paymentMiddleware, x402ResourceServer } from "@x402/express";

import { NETWORK, devnet, known } from "./chain.mjs";

const [endpoint, asset, amount, payTo] = process.argv.slice(2);

const wallet = devnet(endpoint, known(3));
const signer = toFacilitatorEvmSigner({
  address: wallet.account.address,
  getCode: (it) => wallet.getCode(it),
  readContract: (it) => wallet.readContract(it),
  sendTransaction: (it) => wallet.sendTransaction(it),
  verifyTypedData: (it) => wallet.verifyTypedData(it),
  waitForTransactionReceipt: (it) => wallet.waitForTransactionReceipt(it),
  writeContract: (it) => wallet.writeContract(it),
});
const facilitator = registerExactEvmScheme(new x402Facilitator(), { signer, networks: NETWORK });
const local = {
  verify: (payload, requirements) => facilitator.verify(payload, requirements),
  settle: (payload, requirements) => facilitator.settle(payload, requirements),
  getSupported: async () => facilitator.getSupported(),
};

const price = { amount, asset, extra: { name: "USD Coin", version: "2" } };
const app = express();
app.use(express.json());
app.use(
  paymentMiddleware(
    {
      "POST /story": {
        accepts: { scheme: "exact", network: NETWORK, payTo, price, maxTimeoutSeconds: 120 },
        description: "A story",
        mimeType: "application/json",
      },
    },
    new x402ResourceServer(local).register(NETWORK, new ExactEvmScheme()),
  ),
);
app.post("/story", (request, response) => response.json({ story: `Once upon a time there was ${request.body.about}.` }));

const server = app.listen(0, "127.0.0.1", () => {
  console.log(JSON.stringify({ base: `http://127.0.0.1:${server.address().port}` }));
});
process.stdin.resume().on("end", () => process.exit(0));
