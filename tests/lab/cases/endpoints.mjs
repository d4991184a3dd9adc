// OpenAI's embeddings and legacy completions.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { vectorOf } from '../dialects/openai_embeddings.mjs';
import { call, eventsOf } from './caller.mjs';

export function testEndpoints(lab) {
  const ask = (path, body, script = {}) => call(lab, { path, script, body: { model: 'fast-1', ...body } });
  const embed = async (body) => JSON.parse((await ask('/v1/embeddings', body)).body);

  test('a text has one vector, as numbers and as bytes', async () => {
    const { data, usage } = await embed({ input: ['hello there', 'b'] });
    assert.deepEqual(data.map(({ index, embedding }) => [index, embedding]), [[0, vectorOf('hello there')], [1, vectorOf('b')]]);
    assert.notDeepEqual(vectorOf('a'), vectorOf('b'));
    assert.deepEqual(usage, { prompt_tokens: 9, total_tokens: 9 });
    const bytes = Buffer.from((await embed({ input: 'b', encoding_format: 'base64', dimensions: 4 })).data[0].embedding, 'base64');
    assert.deepEqual([0, 4, 8, 12].map((at) => bytes.readFloatLE(at)), vectorOf('b', 4));
  });

  test('a prompt is completed, whole and streamed', async () => {
    const script = { text: 'one two three' };
    const whole = JSON.parse((await ask('/v1/completions', { prompt: 'hello there' }, script)).body);
    assert.deepEqual([whole.object, whole.choices[0].text, whole.choices[0].finish_reason, whole.usage.total_tokens], ['text_completion', 'one two three', 'stop', 9]);
    const stream = eventsOf(await ask('/v1/completions', { prompt: 'hi', stream: true, max_tokens: 2, stream_options: { include_usage: true } }, script));
    assert.deepEqual(stream.slice(0, 3).map(({ data }) => [data.choices[0].text, data.choices[0].finish_reason]), [['one', null], [' two', null], ['', 'length']]);
    assert.equal(stream.at(-2).data.usage.completion_tokens, 2);
    assert.equal(stream.at(-1).data, '[DONE]');
    assert.equal(JSON.parse((await ask('/v1/completions', { prompt: 'hi' }, { tokens: 20 })).body).usage.completion_tokens, 16);
  });

  test('what the lab cannot do is refused, and faults strike here too', async () => {
    for (const [path, body] of [['embeddings', { input: [1] }], ['embeddings', { input: 'a', x: 1 }], ['completions', { prompt: ['a'] }], ['completions', { prompt: 'a', suffix: 'b' }]]) {
      assert.equal((await ask(`/v1/${path}`, body)).status, 400, path);
    }
    assert.equal((await ask('/v1/embeddings', { input: 'a' }, { fault: { kind: 'status', status: 503 } })).status, 503);
  });
}
