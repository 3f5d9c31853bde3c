// The official JavaScript client against an endpoint: node openai_client.mjs BASE_URL KEY MODEL [LIMITED_KEY]
//
// Prints one line a check and exits with 1 if any failed. Checks shapes and constraints, not wit, so that a tiny model
// passes too. LIMITED_KEY is a key that may ask only a few times a minute; without it the check for 429 is skipped.
// Written for npm openai 7.55.0. The package is looked for from the current folder.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const require = createRequire(join(process.cwd(), 'package.json'));
const { default: OpenAI } = await import(pathToFileURL(require.resolve('openai')).href);
const [baseURL, apiKey, model, limitedKey] = process.argv.slice(2);
if (!model) throw new Error('usage: openai_client.mjs BASE_URL KEY MODEL [LIMITED_KEY]');
const options = { baseURL, maxRetries: 0, timeout: 300_000 };
const client = new OpenAI({ ...options, apiKey });

const hello = [{ role: 'user', content: 'Say hello.' }];
const slow = [{ role: 'user', content: 'Count slowly from one to one thousand, in words.' }];
const weather = [{ role: 'user', content: 'What is the weather in Paris?' }];
const cities = ['Paris', 'Rome'];
const object = (properties) => ({ type: 'object', properties, required: Object.keys(properties), additionalProperties: false });
const tools = [{ type: 'function', function: {
  name: 'get_weather', description: 'Weather of a city', strict: true,
  parameters: object({ location: { type: 'string', enum: cities } }),
} }];
const format = { type: 'json_schema', json_schema: {
  name: 'place', strict: true, schema: object({ city: { type: 'string', enum: cities }, big: { type: 'boolean' } }),
} };
const ask = (more = {}, options) => client.chat.completions.create({ model, messages: hello, max_tokens: 24, ...more }, options);

/** The call must be refused with this error and these fields. */
async function refused(call, kind, fields = {}) {
  try {
    await call();
  } catch (error) {
    assert.ok(error instanceof kind, `${error.constructor.name}: ${error.message}`);
    for (const [name, value] of Object.entries(fields)) assert.equal(error[name], value, name);
    return error;
  }
  throw new Error(`no ${kind.name}`);
}

const running = async () => (await client.get('/network')).generations;

const checks = {
  async models() {
    const ids = [];
    for await (const each of client.models.list()) ids.push(each.id);
    assert.ok(ids.includes(model));
    assert.equal((await client.models.retrieve(model)).object, 'model');
  },
  async chat() {
    const answer = await ask({ temperature: 0 });
    const [choice] = answer.choices;
    assert.equal(answer.object, 'chat.completion');
    assert.ok(choice.message.content && choice.message.role === 'assistant');
    assert.ok(['stop', 'length'].includes(choice.finish_reason));
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
    assert.ok(answer._request_id);
  },
  async stream_with_usage() {
    const chunks = [];
    for await (const chunk of await ask({ stream: true, temperature: 0, stream_options: { include_usage: true } })) chunks.push(chunk);
    const last = chunks.pop();
    assert.deepEqual(last.choices, []);
    assert.ok(last.usage.completion_tokens > 0);
    assert.equal(chunks[0].choices[0].delta.role, 'assistant');
    const ends = chunks.map((chunk) => chunk.choices[0].finish_reason);
    assert.ok(['stop', 'length'].includes(ends.pop()));
    assert.ok(ends.every((end) => end === null));
    const text = chunks.map((chunk) => chunk.choices[0].delta.content ?? '').join('');
    assert.equal(text, (await ask({ temperature: 0 })).choices[0].message.content);
  },
  async accumulated_stream() {
    const stream = client.chat.completions.stream({ model, messages: hello, max_tokens: 24, temperature: 0, logprobs: true });
    const answer = await stream.finalChatCompletion();
    assert.ok(answer.choices[0].message.content);
    assert.ok(answer.choices[0].logprobs.content.length > 0);
  },
  async several_answers() {
    const answer = await ask({ n: 3, seed: 4 });
    assert.deepEqual(answer.choices.map((choice) => choice.index), [0, 1, 2]);
  },
  async logprobs() {
    const { choices: [choice] } = await ask({ logprobs: true, top_logprobs: 2, temperature: 0 });
    assert.ok(choice.logprobs.content.every((entry) => entry.top_logprobs.length === 2));
    const bytes = choice.logprobs.content.flatMap((entry) => entry.bytes);
    assert.equal(new TextDecoder().decode(new Uint8Array(bytes)), choice.message.content);
  },
  async tools_required() {
    const { choices: [choice] } = await ask({ messages: weather, tools, tool_choice: 'required', parallel_tool_calls: false, max_tokens: 100 });
    assert.equal(choice.finish_reason, 'tool_calls');
    const [call] = choice.message.tool_calls;
    assert.equal(call.function.name, 'get_weather');
    assert.ok(cities.includes(JSON.parse(call.function.arguments).location));
  },
  async tools_streamed() {
    const request = { model, messages: weather, tools, tool_choice: 'required', parallel_tool_calls: false, max_tokens: 100 };
    const answer = await client.chat.completions.stream(request).finalChatCompletion();
    const [choice] = answer.choices;
    assert.equal(choice.finish_reason, 'tool_calls');
    assert.ok(!choice.message.content);
    assert.ok(choice.message.tool_calls[0].id);
    assert.ok(cities.includes(JSON.parse(choice.message.tool_calls[0].function.arguments).location));
  },
  async json_schema() {
    const { choices: [choice] } = await ask({ response_format: format, max_tokens: 100 });
    const value = JSON.parse(choice.message.content);
    assert.ok(cities.includes(value.city) && typeof value.big === 'boolean');
  },
  async completions() {
    const answer = await client.completions.create({ model, prompt: ['Once', 'Twice'], max_tokens: 6 });
    assert.equal(answer.choices.length, 2);
    let last;
    for await (const chunk of await client.completions.create({ model, prompt: 'Once', max_tokens: 6, stream: true })) last = chunk;
    assert.ok(['stop', 'length'].includes(last.choices[0].finish_reason));
  },
  async abort_in_mid_stream() {
    const before = await running();
    const stream = await ask({ messages: slow, max_tokens: 2000, stream: true, ignore_eos: true });
    let count = 0;
    for await (const _ of stream) {
      if (++count === 3) {
        assert.ok((await running()) > before);
        stream.controller.abort();
        break;
      }
    }
    const deadline = Date.now() + 5000;
    while ((await running()) > before) {
      assert.ok(Date.now() < deadline, 'the generation goes on after its client has left');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  },
  async abort_while_waiting() {
    const before = await running();
    const controller = new AbortController();
    const waiting = ask({ messages: slow, max_tokens: 2000, ignore_eos: true, n: 2 }, { signal: controller.signal });
    const outcome = refused(() => waiting, OpenAI.APIUserAbortError);
    const deadline = Date.now() + 20_000;
    while ((await running()) === before) assert.ok(Date.now() < deadline, 'it never ran');
    controller.abort();
    await outcome;
    while ((await running()) > before) assert.ok(Date.now() < deadline, 'the generation goes on after its client has left');
  },
  async error_400() {
    await refused(() => ask({ temperature: 9 }), OpenAI.BadRequestError, { status: 400, param: 'temperature', type: 'invalid_request_error' });
    await refused(() => ask({ max_tokens: 10_000_000 }), OpenAI.BadRequestError, { code: 'context_length_exceeded' });
    await refused(() => ask({ messages: [] }), OpenAI.BadRequestError, { param: 'messages' });
  },
  async error_401() {
    const stranger = new OpenAI({ ...options, apiKey: 'wrong-key' });
    await refused(() => stranger.models.list(), OpenAI.AuthenticationError, { status: 401, code: 'invalid_api_key' });
  },
  async error_404() {
    await refused(() => ask({ model: 'no-such-model' }), OpenAI.NotFoundError, { code: 'model_not_found' });
    await refused(() => client.embeddings.create({ model, input: 'x' }), OpenAI.NotFoundError);
  },
  async error_413() {
    await refused(() => ask({ messages: [{ role: 'user', content: 'x'.repeat(5 * 1024 * 1024) }] }), OpenAI.APIError, { status: 413 });
  },
  async error_429() {
    if (!limitedKey) return 'skipped: no limited key was given';
    const limited = new OpenAI({ ...options, apiKey: limitedKey });
    const often = async () => { for (let i = 0; i < 50; i++) await limited.models.list(); };
    const error = await refused(often, OpenAI.RateLimitError, { status: 429, code: 'rate_limit_exceeded' });
    assert.ok(Number(error.headers.get('retry-after')) >= 1);
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    const note = await check();
    console.log(`ok    ${name}${note ? ` (${note})` : ''}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}: ${error.constructor.name}: ${String(error.message).slice(0, 500)}`);
  }
}
const count = Object.keys(checks).length;
console.log(`openai-node: ${count - failed} of ${count} checks passed`);
process.exit(failed ? 1 : 0);
