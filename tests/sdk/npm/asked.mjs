// What every SDK is given to ask, in the words of this language.
//
// `../python/asked.py` has the same. Not here: what must come back (`../cases.mjs`).

import { z } from 'zod';

export const QUESTION = 'hi';
export const EMBEDDED = ['hi', 'there'];

export const WEATHER = {
  name: 'weather',
  description: 'The weather in a city.',
  schema: {
    type: 'object',
    properties: { city: { type: 'string' }, unit: { type: 'string', enum: ['celsius', 'kelvin'] } },
    required: ['city', 'unit'],
    additionalProperties: false,
  },
};
/** For SDKs that take no plain JSON Schema. */
export const WEATHER_INPUT = z.object({ city: z.string(), unit: z.enum(['celsius', 'kelvin']) });
export const WEATHER_ANSWER = 'It rains.';

export const PERSON = z.object({ name: z.string(), age: z.int(), tags: z.array(z.string()) });
