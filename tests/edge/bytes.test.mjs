// Where client and provider speak the same dialect, every byte but a few named ones is the other side's own.
//
// The bodies here are valid JSON that a rebuild would change or fail at: escapes, lone surrogates, integers beyond 2^53, odd white
// space, keys twice or nearly, fields that nobody knows, deep nesting, long strings.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { pathFor, startExact } from './exact.mjs';
import { startWorld } from './world.mjs';

const MANY = 1_048_576;
const DEEP = 100;
const EXTRAS = {
  'escapes and surrogates': '"x_\\u0031":"caf\\u00e9 \\ud83d\\ude00 \\/ \\u0000 世界 \u2028 \\ud800 \\udead\\ud83d" ,"\\ud83d\\ude00":"\\b\\f"',
  'numbers that no double holds': '"seed_x":9007199254740993,"a":[1.50, 1E+2, -0, 1e400, 0.1000000000000000055511151231257827]',
  'keys that look alike': '"x" : { "b":1,"a":2, "b":3, "\\u0061":4, "A":5, "":6 } ,"Model":1,"model ":2,"modelx":"MODEL"',
  'odd white space': ' "w"\r\n:\t[ \n] , "v" : {\t}',
  'deep nesting': `"d":${'['.repeat(DEEP)}{"a":1}${']'.repeat(DEEP)},"o":${'{"a":'.repeat(DEEP)}1${'}'.repeat(DEEP)}`,
  'a string of a megabyte': `"long":"${'\\u00e9é\\n'.repeat(MANY / 10)}"`,
  'a megabyte of text that is no ASCII': `"long":"${'界'.repeat(MANY / 3)}"`,
  'many keys': Array.from({ length: 900 }, (_, at) => `"k${at}":${at}`).join(','),
};
/** A request in each dialect, with oddities in the fields that we read as well. */
const BASES = {
  'openai-chat': [
    '"messages" :\r\n\t[ { "role":"user","content":"caf\\u00e9 \\ud83d\\ude00 \\/ 世界 \u2028", "extra":[1.50, 1E+2, -0] } ] ',
    '"tools" : [ {"type":"function","function":{"name":"z","parameters":{"type":"object","properties":{"z":{},"a":{}}}}} ]\n\n',
  ].join(','),
  'openai-responses': [
    ' "input" :\t[ {"content":[{"text":"caf\\u00e9 \\/ 世界" , "type":"input_text"}],"role":"user"}]\r\n',
    '"tools":[ {"type":"function","name":"z","strict":false,"parameters":{"type":"object" , "properties":{"z":{"default":9007199254740993},"a":{}}}} ]',
  ].join(','),
  anthropic: [
    ' "max_tokens" : 100',
    '"messages":\r\n\t[ { "role" : "user" , "content":[ {"text":"caf\\u00e9 \\/ 世界","type":"text"} ]}]',
    '"metadata":{"user_id":"\\u0075" }',
    '"tools":[ {"name":"z","input_schema":{"type":"object" , "properties":{"z":{"default":9007199254740993},"a":{"maximum":1E+2}}}} ]',
  ].join(','),
  gemini: [
    ' "contents" :\r\n\t[ {"parts":[ {"text":"caf\\u00e9 \\ud83d\\ude00 \\/ 世界","x":[1.50, 1E+2, -0]} ] , "role":"user"} ]',
    '"generation_config":{ "temperature" : 1.0,"responseMimeType":"application/json","response_schema":{"type":"OBJECT","properties":{"z":{"default":9007199254740993},"a":{"maximum":1E+2}}} }',
    '"tools":[ {"functionDeclarations":[ {"name":"z","parametersJsonSchema":{"type":"object" , "properties":{"z":{},"a":{}}}} ]} ]\n\n',
  ].join(','),
};
const WISH = '"stream_options":{"include_usage":true},';

let world;
let exact;
before(async () => {
  exact = await startExact();
  world = await startWorld({ labs: ['first'], providers: exact.providers });
});
after(() => Promise.all([world?.close(), exact?.close()]));

/** A body's `model` with white space around it; Gemini has it in the path alone. */
const modelOf = (dialect, text) => (dialect === 'gemini' ? '' : text);

/** Sends a body through the edge to `m` of the exact provider. Returns the answer, what was received, and what should have been. */
async function through(dialect, template, isStream = false) {
  const named = (model) => (dialect === 'gemini' ? template : template.replace('MODEL', model));
  const response = await world.post(pathFor(dialect, 'm', isStream), named(`exact-${dialect}/m`));
  const answer = Buffer.from(await response.arrayBuffer());
  assert.equal(response.status, 200, answer.toString());
  return { answer, received: exact.received().toString('utf8'), expected: named('m') };
}

function same(received, expected) {
  if (received === expected) return;
  const at = [...expected].findIndex((_, place) => received[place] !== expected[place]);
  assert.fail(`differs at ${at}: expected ${JSON.stringify(expected.slice(at, at + 80))}, got ${JSON.stringify(received.slice(at, at + 80))}`);
}

for (const [dialect, base] of Object.entries(BASES)) {
  describe(`a request in ${dialect}`, () => {
    for (const [name, extra] of Object.entries(EXTRAS)) {
      test(`with ${name} differs in the model alone`, async () => {
        const { received, expected } = await through(dialect, `\t{${modelOf(dialect, '"model" : "MODEL"  ,')}${base}, ${extra}}  \n`);
        same(received, expected);
      });
    }

    test('whose model comes last, its key escaped, differs in the model alone', async () => {
      const { received, expected } = await through(dialect, `{${base},"y":[]${modelOf(dialect, ',"\\u006dodel":"MODEL"')}}`);
      same(received, expected);
    });

    test(`of a stream differs in the model${dialect === 'openai-chat' ? ' and the wish for usage' : ' alone'}`, async () => {
      const { received, expected, answer } = await through(dialect, `{ ${base}${modelOf(dialect, ',"model"\n:\n"MODEL", "stream" : true')}}`, true);
      assert.equal(received.split(WISH).length, dialect === 'openai-chat' ? 2 : 1, received);
      same(received.replace(WISH, ''), expected);
      assert.ok(answer.equals(exact.answers[dialect].stream), answer.toString());
    });

    test('is answered with the provider\'s own bytes', async () => {
      const { answer } = await through(dialect, `{${modelOf(dialect, '"model":"MODEL",')}${base}}`);
      assert.ok(answer.equals(exact.answers[dialect].whole), answer.toString());
    });
  });
}

test('a stream in openai-chat keeps the client\'s own stream options', async () => {
  const options = '"stream":true , "stream_options" : { "x":1.50,"include_usage" : true }';
  const asked = await through('openai-chat', `{"model":"MODEL",${BASES['openai-chat']},${options}}`);
  same(asked.received, asked.expected);
  const refused = await through('openai-chat', `{"model":"MODEL",${BASES['openai-chat']},${options.replace('true }', 'false }')}}`);
  same(refused.received, refused.expected.replace('false }', 'true }'));
});
