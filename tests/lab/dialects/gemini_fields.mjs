// The fields that Gemini's API knows, and a walk that finds the ones it does not.
//
// The API reads JSON into protocol buffers, so a field that no message has is an error with its path, in camel or in snake case.
// JSON Schemas (`parametersJsonSchema`, `responseJsonSchema`) are values without a type: there it passes over what it does not know.
// Fields: the types of `@google/genai` 3.1.0 and <https://ai.google.dev/api/generate-content>; the sentences are those that users
// quote in issue trackers. Read on 2026-11-21.
// Not here: what a field may hold (`gemini_request.mjs`).

import { isRecord } from '../check.mjs';

const ANY = true;
const fieldsOf = (names) => Object.fromEntries(names.split(' ').map((name) => [name, ANY]));

/** By message: each field with the message that it holds, in a list where there are several, or anything. */
const MESSAGES = {
  request: {
    ...fieldsOf('cachedContent serviceTier store safetySettings'),
    contents: ['content'],
    systemInstruction: 'content',
    tools: ['tool'],
    toolConfig: 'toolConfig',
    generationConfig: 'generationConfig',
  },
  content: { role: ANY, parts: ['part'] },
  part: {
    ...fieldsOf('text thought thoughtSignature codeExecutionResult executableCode videoMetadata mediaResolution partMetadata'),
    inlineData: 'blob',
    fileData: 'file',
    functionCall: 'functionCall',
    functionResponse: 'functionResponse',
  },
  blob: fieldsOf('mimeType data displayName'),
  file: fieldsOf('mimeType fileUri displayName'),
  functionCall: fieldsOf('id name args'),
  functionResponse: { ...fieldsOf('id name response scheduling willContinue'), parts: ['part'] },
  tool: {
    ...fieldsOf('codeExecution computerUse fileSearch googleMaps googleSearch googleSearchRetrieval mcpServers urlContext'),
    functionDeclarations: ['functionDeclaration'],
  },
  functionDeclaration: {
    ...fieldsOf('behavior description name parametersJsonSchema responseJsonSchema'),
    parameters: 'schema',
    response: 'schema',
  },
  toolConfig: { ...fieldsOf('retrievalConfig includeServerSideToolInvocations'), functionCallingConfig: 'functionCallingConfig' },
  functionCallingConfig: fieldsOf('allowedFunctionNames mode'),
  generationConfig: {
    ...fieldsOf('candidateCount enableEnhancedCivicAnswers frequencyPenalty imageConfig logprobs maxOutputTokens mediaResolution'),
    ...fieldsOf('presencePenalty responseJsonSchema responseLogprobs responseMimeType responseModalities seed speechConfig'),
    ...fieldsOf('stopSequences temperature thinkingConfig topK topP'),
    responseSchema: 'schema',
  },
  schema: {
    ...fieldsOf('default description enum example format maxItems maxLength maxProperties maximum minItems minLength minProperties'),
    ...fieldsOf('minimum nullable pattern propertyOrdering required title type'),
    anyOf: ['schema'],
    items: 'schema',
    properties: { each: 'schema' },
  },
};

/** The fields of a request that no message has, as `{ field, description }` in the API's words. */
export function unknownFields(body) {
  const found = [];
  walk(body, 'request', '', found);
  return found;
}

function walk(value, name, path, found) {
  if (!isRecord(value)) return;
  const at = path === '' ? '' : ` at '${path}'`;
  for (const [field, inner] of Object.entries(value)) {
    const known = camel(field);
    if (!Object.hasOwn(MESSAGES[name], known)) {
      found.push({ field: path, description: `Invalid JSON payload received. Unknown name "${field}"${at}: Cannot find field.` });
      continue;
    }
    step(inner, MESSAGES[name][known], `${path}${path === '' ? '' : '.'}${snake(known)}`, found);
  }
}

function step(value, kind, path, found) {
  if (kind === ANY) return;
  if (typeof kind === 'string') walk(value, kind, path, found);
  else if (Array.isArray(kind) && Array.isArray(value)) value.forEach((each, at) => walk(each, kind[0], `${path}[${at}]`, found));
  else if (isRecord(value)) Object.values(value).forEach((each, at) => walk(each, kind.each, `${path}[${at}].value`, found));
}

const camel = (name) => name.replaceAll(/_([a-z])/g, (_, letter) => letter.toUpperCase());
const snake = (name) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** The value with its field names in camel case, as deep as messages go; what a user named (arguments, schemas) stays. */
export function inCamelCase(value, name = 'request') {
  if (!isRecord(value)) return value;
  const kinds = MESSAGES[name];
  return Object.fromEntries(Object.entries(value).map(([field, inner]) => {
    const known = camel(field);
    return [known, cased(inner, kinds[known])];
  }));
}

function cased(value, kind) {
  if (typeof kind === 'string') return inCamelCase(value, kind);
  return Array.isArray(kind) && Array.isArray(value) ? value.map((each) => inCamelCase(each, kind[0])) : value;
}
