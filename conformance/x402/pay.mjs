// x402's own client, as it is, pays one of our endpoints: `node pay.mjs BASE_URL MODEL [RPC]`. It pays as the fifth of
// anvil's accounts, which gets its money from the faucet first where the chain's RPC is given. One line a check; exits
// with 1 if any failed.

import assert from "node:assert/strict";
import { ExactEvmScheme } from "@x402/evm";
import { decodePaymentResponseHeader, wrapFetchWithPayment, x402Client, x402HTTPClient } from "@x402/fetch";

import { known, drip } from "./chain.mjs";

const [base, model, endpoint] = process.argv.slice(2);
const account = known(4);
const client = x402Client.fromConfig({
  schemes: [{ network: "eip155:*", client: new ExactEvmScheme(account) }],
  // Anything but a short list of tokens has to be allowed by name or altogether.
  spendControls: { allowedAssets: true },
});
const paying = wrapFetchWithPayment(fetch, client);
const payments = [];
client.onAfterPaymentCreation(async ({ paymentPayload }) => void payments.push(paymentPayload));

function ask(send, more = {}, headers = {}) {
  const messages = [{ role: "user", content: "Say hello." }];
  return send(`${base}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ model, messages, max_tokens: 8, ...more }),
  });
}

async function events(response) {
  const lines = (await response.text()).split("\n").filter((line) => line.startsWith("data: "));
  return lines.map((line) => line.slice(6));
}

function settled(response) {
  const receipt = decodePaymentResponseHeader(response.headers.get("payment-response"));
  const { accepted } = payments.at(-1);
  assert.equal(receipt.success, true, JSON.stringify(receipt));
  assert.equal(receipt.network, accepted.network);
  assert.equal(receipt.amount, accepted.amount);
  assert.equal(receipt.payer.toLowerCase(), account.address.toLowerCase());
  // An endpoint may answer before the transaction is sent; then it says so.
  const { settlement } = receipt.extensions.computepool;
  assert.match(receipt.transaction, settlement === "pending" ? /^$/ : /^0x[0-9a-f]{64}$/);
  return settlement;
}

let token;
const checks = {
  async told_what_to_pay() {
    const response = await ask(fetch);
    const { error, payment } = await response.json();
    assert.equal(response.status, 402);
    assert.equal(error.code, "payment_required");
    if (endpoint) await drip(endpoint, payment.accepts[0].asset, account);
  },
  async paid_and_answered() {
    const response = await ask(paying);
    assert.equal(response.status, 200);
    const settlement = settled(response);
    token = response.headers.get("computepool-session");
    assert.equal((await response.json()).object, "chat.completion");
    assert.equal(payments.length, 1);
    return settlement;
  },
  async answered_in_the_same_session() {
    const response = await ask(fetch, { stream: true }, { authorization: `Bearer ${token}` });
    assert.equal(response.status, 200);
    assert.equal((await events(response)).at(-1), "[DONE]");
  },
  async paid_and_streamed() {
    const response = await ask(paying, { stream: true });
    assert.equal(response.status, 200);
    const settlement = settled(response);
    const said = await events(response);
    assert.equal(said.at(-1), "[DONE]");
    assert.ok(said.some((text) => text !== "[DONE]" && JSON.parse(text).choices[0]?.delta.content));
    assert.equal(payments.length, 2);
    return settlement;
  },
  async refused_the_second_time() {
    const http = new x402HTTPClient(client);
    const response = await ask(fetch, {}, http.encodePaymentSignatureHeader(payments[0]));
    const { paymentStatus, header } = await http.processResponse(response);
    assert.equal(response.status, 402);
    assert.equal(paymentStatus, "settle_failed");
    assert.ok(header.errorReason, JSON.stringify(header));
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    const note = await check();
    console.log(`ok    ${name}${note ? ` (${note})` : ""}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}: ${error.stack}`);
  }
}
const count = Object.keys(checks).length;
console.log(`@x402/fetch 2.27.0: ${count - failed} of ${count} checks passed`);
process.exit(failed ? 1 : 0);
