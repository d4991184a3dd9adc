// The lab's own tests: `node --test tests/lab/lab.test.mjs`.
//
// They look at the wire with raw sockets (`cases/caller.mjs`), because that is what the lab is for.
// The cases are in files by topic, with one lab each.
// Not here: any test of the router.

import { after, before, describe } from 'node:test';
import { testAnswers } from './cases/answers.mjs';
import { testBedrock } from './cases/bedrock.mjs';
import { testCohere } from './cases/cohere.mjs';
import { testEndpoints } from './cases/endpoints.mjs';
import { testFaults } from './cases/faults.mjs';
import { testGemini } from './cases/gemini.mjs';
import { testRefusals } from './cases/refusals.mjs';
import { testResponses } from './cases/responses.mjs';
import { testScripts } from './cases/scripts.mjs';
import { testServers } from './cases/servers.mjs';
import { testToolCalls } from './cases/tool_calls.mjs';
import { testWire } from './cases/wire.mjs';
import { startLab } from './lab.mjs';

const TOPICS = {
  answers: testAnswers,
  'tool calls': testToolCalls,
  refusals: testRefusals,
  responses: testResponses,
  gemini: testGemini,
  cohere: testCohere,
  bedrock: testBedrock,
  endpoints: testEndpoints,
  scripts: testScripts,
  faults: testFaults,
  wire: testWire,
  servers: testServers,
};

for (const [topic, declare] of Object.entries(TOPICS)) {
  describe(topic, { timeout: 15_000 }, () => {
    const lab = {};
    before(async () => Object.assign(lab, await startLab()));
    after(() => lab.close());
    declare(lab);
  });
}
