// Sound answers of OpenAI's and Anthropic's dialects: that they are spoken as their APIs speak them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodyFor, call, DIALECTS, eventsOf, saidIn } from './caller.mjs';

export function testAnswers(lab) {
  const ask = async (dialect, more, script = {}, rest = {}) => {
    const answer = await call(lab, { dialect, script, body: bodyFor(dialect, more), ...rest });
    assert.equal(answer.status, 200, answer.body.toString());
    assert.equal(answer.ending, 'whole');
    return answer;
  };
  const whole = async (...args) => JSON.parse((await ask(...args)).body);

  test('an OpenAI stream is role, tokens, finish, usage, end', async () => {
    const answer = await ask('openai-chat', { stream: true, stream_options: { include_usage: true } }, { text: 'one two three' });
    assert.match(answer.headers['content-type'], /^text\/event-stream/);
    const events = eventsOf(answer).map(({ data }) => data);
    const chunks = events.slice(0, -1);
    assert.equal(events.at(-1), '[DONE]');
    for (const chunk of chunks) {
      assert.equal(chunk.object, 'chat.completion.chunk');
      assert.equal(chunk.id, chunks[0].id);
      assert.equal(chunk.model, 'fast-1');
      assert.ok(Number.isInteger(chunk.created));
    }
    const deltas = chunks.slice(0, -1).map((chunk) => chunk.choices[0].delta);
    assert.deepEqual(deltas, [{ role: 'assistant', content: '', refusal: null }, { content: 'one' }, { content: ' two' }, { content: ' three' }, {}]);
    assert.deepEqual(chunks.map((chunk) => chunk.choices[0]?.finish_reason), [null, null, null, null, 'stop', undefined]);
    assert.deepEqual(chunks.slice(0, -1).map((chunk) => chunk.usage), [null, null, null, null, null]);
    const last = chunks.at(-1);
    assert.deepEqual(last.choices, []);
    // 'hello there' has 11 bytes: three tokens, and three for the message.
    assert.equal(last.usage.prompt_tokens, 6);
    assert.equal(last.usage.completion_tokens, 3);
    assert.equal(last.usage.total_tokens, 9);
  });

  test('an OpenAI stream reports no usage unless asked', async () => {
    const answer = await ask('openai-chat', { stream: true });
    assert.ok(eventsOf(answer).every(({ data }) => data === '[DONE]' || !('usage' in data)));
  });

  test('an Anthropic stream names each event and closes each block', async () => {
    const answer = await ask('anthropic', { stream: true }, { text: 'one two' });
    const events = eventsOf(answer);
    for (const { event, data } of events) assert.equal(event, data.type);
    assert.deepEqual(events.map(({ event }) => event), [
      'message_start', 'content_block_start', 'ping', 'content_block_delta', 'content_block_delta', 'content_block_stop',
      'message_delta', 'message_stop',
    ]);
    const [start, open, , first] = events.map(({ data }) => data);
    assert.equal(start.message.role, 'assistant');
    assert.deepEqual(start.message.content, []);
    assert.equal(start.message.stop_reason, null);
    assert.deepEqual(start.message.usage, { input_tokens: 6, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 1 });
    assert.deepEqual(open.content_block, { type: 'text', text: '' });
    assert.deepEqual(first.delta, { type: 'text_delta', text: 'one' });
    assert.deepEqual(events.at(-2).data.delta, { stop_reason: 'end_turn', stop_sequence: null });
    assert.equal(events.at(-2).data.usage.output_tokens, 2);
  });

  test('an unstreamed answer says what the stream says', async () => {
    for (const dialect of DIALECTS) {
      const streamed = saidIn(await ask(dialect, { stream: true, ...(dialect === 'anthropic' ? {} : { stream_options: { include_usage: true } }) }));
      const body = await whole(dialect, {});
      const text = dialect === 'anthropic' ? body.content[0].text : body.choices[0].message.content;
      assert.equal(text, streamed.text);
      assert.deepEqual(body.usage, streamed.usage);
      assert.equal(body.choices?.[0].finish_reason ?? body.stop_reason, streamed.finish);
      assert.match(text, /^lab here, model fast-1\. You said: hello there\. /);
      assert.equal(text.split(' ').length, 24);
    }
  });

  test('an OpenAI completion has the fields that the SDKs read', async () => {
    const body = await whole('openai-chat', {}, { text: 'hi' });
    assert.equal(body.object, 'chat.completion');
    assert.match(body.id, /^chatcmpl-/);
    assert.deepEqual(body.choices, [{ index: 0, message: { role: 'assistant', content: 'hi', refusal: null }, logprobs: null, finish_reason: 'stop' }]);
  });

  test('an Anthropic message has the fields that the SDKs read', async () => {
    const body = await whole('anthropic', {}, { text: 'hi' });
    const { id, ...rest } = body;
    assert.match(id, /^msg_/);
    assert.deepEqual(rest, {
      type: 'message', role: 'assistant', model: 'fast-1', content: [{ type: 'text', text: 'hi' }], stop_reason: 'end_turn', stop_sequence: null,
      usage: { input_tokens: 6, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 1 },
    });
  });

  test('a limit on tokens cuts the answer and says so', async () => {
    for (const limit of ['max_tokens', 'max_completion_tokens']) {
      const body = await whole('openai-chat', { [limit]: 2 }, { text: 'one two three' });
      assert.equal(body.choices[0].message.content, 'one two');
      assert.equal(body.choices[0].finish_reason, 'length');
      assert.equal(body.usage.completion_tokens, 2);
    }
    const body = await whole('anthropic', { max_tokens: 2 }, { text: 'one two three' });
    assert.equal(body.content[0].text, 'one two');
    assert.equal(body.stop_reason, 'max_tokens');
    const exact = await whole('anthropic', { max_tokens: 3 }, { text: 'one two three' });
    assert.equal(exact.stop_reason, 'end_turn');
  });

  test('a stop sequence ends the answer before itself, the earliest first', async () => {
    const openai = await whole('openai-chat', { stop: ['four', 'thr'] }, { text: 'one two three four' });
    assert.equal(openai.choices[0].message.content, 'one two ');
    assert.equal(openai.choices[0].finish_reason, 'stop');
    const other = await whole('anthropic', { stop_sequences: ['four', 'thr'] }, { text: 'one two three four' });
    assert.equal(other.content[0].text, 'one two ');
    assert.equal(other.stop_reason, 'stop_sequence');
    assert.equal(other.stop_sequence, 'thr');
  });

  test('reasoning comes first, in each dialect its own way', async () => {
    const script = { text: 'hi', reasoning_tokens: 3 };
    const openai = await ask('openai-chat', { stream: true, stream_options: { include_usage: true } }, script);
    const said = saidIn(openai);
    assert.equal(said.reasoning.split(' ').length, 3);
    assert.equal(said.usage.completion_tokens, 4);
    assert.equal(said.usage.completion_tokens_details.reasoning_tokens, 3);
    const deltas = eventsOf(openai).map(({ data }) => data.choices?.[0]?.delta ?? {});
    assert.ok(deltas.findLastIndex((delta) => 'reasoning_content' in delta) < deltas.findIndex((delta) => delta.content));

    const events = eventsOf(await ask('anthropic', { stream: true }, script)).map(({ data }) => data);
    const blocks = events.filter(({ type }) => type === 'content_block_start').map(({ content_block }) => content_block.type);
    assert.deepEqual(blocks, ['thinking', 'text']);
    const kinds = events.filter(({ index }) => index === 0).map(({ type, delta }) => delta?.type ?? type);
    assert.deepEqual(kinds, ['content_block_start', 'thinking_delta', 'thinking_delta', 'thinking_delta', 'signature_delta', 'content_block_stop']);
    const body = await whole('anthropic', {}, script);
    assert.equal(body.content[0].type, 'thinking');
    assert.notEqual(body.content[0].signature, '');
    assert.equal((await whole('openai-chat', {}, script)).choices[0].message.reasoning_content, said.reasoning);
  });

  test('reasoning counts towards the limit', async () => {
    const body = await whole('openai-chat', { max_tokens: 4 }, { text: 'one two three', reasoning_tokens: 3 });
    assert.equal(body.choices[0].message.content, 'one');
    assert.equal(body.choices[0].finish_reason, 'length');
  });

  test('n gives that many choices, streamed side by side', async () => {
    const body = await whole('openai-chat', { n: 3 });
    assert.deepEqual(body.choices.map(({ index }) => index), [0, 1, 2]);
    assert.match(body.choices[2].message.content, /choice 3/);
    assert.equal(body.usage.completion_tokens, 72);
    const indexes = eventsOf(await ask('openai-chat', { n: 2, stream: true }, { text: 'a b' })).flatMap(({ data }) => data.choices?.[0]?.index ?? []);
    assert.deepEqual(indexes, [0, 1, 0, 1, 0, 1, 0, 1]);
  });

  test('logprobs come with each token', async () => {
    const { logprobs } = (await whole('openai-chat', { logprobs: true, top_logprobs: 2 }, { text: 'one né' })).choices[0];
    assert.deepEqual(logprobs.content.map(({ token }) => token), ['one', ' né']);
    assert.deepEqual(logprobs.content[1].bytes, [...Buffer.from(' né')]);
    for (const { logprob, top_logprobs } of logprobs.content) {
      assert.ok(logprob < 0);
      assert.equal(top_logprobs.length, 2);
      assert.ok(top_logprobs[0].logprob > top_logprobs[1].logprob);
    }
    const chunks = eventsOf(await ask('openai-chat', { logprobs: true, stream: true }, { text: 'one' })).map(({ data }) => data.choices?.[0]);
    assert.equal(chunks[1].logprobs.content[0].token, 'one');
  });

  test('usage tells what was read from a cache, and can be left out', async () => {
    const openai = await whole('openai-chat', {}, { cached_tokens: 4 });
    assert.equal(openai.usage.prompt_tokens, 6);
    assert.equal(openai.usage.prompt_tokens_details.cached_tokens, 4);
    const other = await whole('anthropic', {}, { cached_tokens: 4 });
    assert.equal(other.usage.input_tokens, 2);
    assert.equal(other.usage.cache_read_input_tokens, 4);
    for (const dialect of DIALECTS) {
      assert.ok(!('usage' in await whole(dialect, {}, { usage: false })));
      const more = dialect === 'anthropic' ? {} : { stream_options: { include_usage: true } };
      const streamed = await ask(dialect, { stream: true, ...more }, { usage: false });
      assert.equal(saidIn(streamed).usage, null);
      assert.ok(!eventsOf(streamed).some(({ data }) => data?.usage || data?.message?.usage));
    }
  });

  test('an answer goes on where a prefill stops', async () => {
    for (const dialect of DIALECTS) {
      const messages = [{ role: 'user', content: 'count' }, { role: 'assistant', content: 'one two' }];
      const said = saidIn(await ask(dialect, { stream: true, messages }, { text: 'one two three four' }));
      assert.equal(said.text, ' three four');
    }
  });

  test('text in parts, and in a system prompt, is read and counted', async () => {
    const parts = [{ type: 'text', text: 'good ' }, { type: 'text', text: 'morning' }];
    const openai = await whole('openai-chat', { messages: [{ role: 'system', content: 'Be kind.' }, { role: 'user', content: parts }] });
    const other = await whole('anthropic', { system: 'Be kind.', messages: [{ role: 'user', content: parts }] });
    assert.match(openai.choices[0].message.content, /You said: good morning\./);
    assert.match(other.content[0].text, /You said: good morning\./);
    // Twenty bytes in two messages.
    assert.equal(openai.usage.prompt_tokens, 11);
    assert.equal(other.usage.input_tokens, 11);
    const counted = await call(lab, { dialect: 'anthropic', path: '/v1/messages/count_tokens', body: { model: 'm', system: 'Be kind.', messages: [{ role: 'user', content: parts }] } });
    assert.deepEqual(JSON.parse(counted.body), { input_tokens: 11 });
  });

  test('the paths work without /v1 and with a query', async () => {
    await ask('openai-chat', {}, {}, { path: '/chat/completions' });
    await ask('anthropic', {}, {}, { path: '/messages?beta=true' });
  });

  test('the models are listed in the dialect of the caller', async () => {
    lab.setScript('some/model', {});
    lab.setScript('some/*', {});
    const openai = JSON.parse((await call(lab, { method: 'GET', path: '/v1/models' })).body);
    assert.equal(openai.object, 'list');
    assert.deepEqual(openai.data.map(({ id }) => id), ['some/model', 'lab-small', 'lab-large']);
    const other = JSON.parse((await call(lab, { method: 'GET', path: '/models', dialect: 'anthropic' })).body);
    assert.deepEqual(other.data.map(({ type }) => type), ['model', 'model', 'model']);
    assert.equal(other.has_more, false);
    lab.clearScripts();
  });

  test('answers at once are the answers of any other speed, each with its own id', async () => {
    for (const dialect of DIALECTS) {
      for (const more of [{ stream: true }, {}]) {
        const plain = (answer) => answer.body.toString().replaceAll(/"(id|created)":("[^"]*"|\d+)/g, '');
        const slow = await ask(dialect, more, { tokens: 8 });
        const fast = await ask(dialect, more, { tokens: 8, tokens_per_s: 0 });
        const again = await ask(dialect, more, { tokens: 8, tokens_per_s: 0 });
        const late = await ask(dialect, more, { tokens: 8, tokens_per_s: 0, ttft_ms: 5 });
        assert.equal(plain(fast), plain(slow));
        assert.equal(plain(late), plain(slow));
        assert.notEqual(again.body.toString(), fast.body.toString());
        assert.equal(plain(again), plain(slow));
      }
    }
  });
}
