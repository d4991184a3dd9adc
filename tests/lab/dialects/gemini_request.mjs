// Reads a request in Gemini's dialect: generateContent and streamGenerateContent, as AI Studio takes them.
//
// `readGeminiRequest` returns what `answer.mjs` needs to know, or throws `Refused` in the words of the real API. It is as strict as
// that API about what routers get wrong: unknown fields, roles, empty parts, answers to function calls, and, for models that are not
// called gemini-1 or gemini-2, the signature on the first call of a turn.
// Wire format: <https://ai.google.dev/api/generate-content>, <https://ai.google.dev/gemini-api/docs/function-calling>,
// <https://ai.google.dev/gemini-api/docs/thought-signatures>, <https://ai.google.dev/gemini-api/docs/structured-output>, read on
// 2026-11-21; the sentences are those that users quote in issue trackers.
// Not checked: files, safety settings, and Google's own tools.

import { isRecord } from '../check.mjs';
import { Refused } from '../refused.mjs';
import { inCamelCase, unknownFields } from './gemini_fields.mjs';
import { countTokens } from './openai_request.mjs';

/** What signs the calls and thoughts of the lab's own answers. */
export const SIGNATURE = Buffer.from('a signature that only this lab would accept').toString('base64');
/** Signatures that Google takes for calls which its models have not made. */
const DUMMIES = ['skip_thought_signature_validator', 'context_engineering_is_the_way_to_go'];
const UNSIGNED_MODELS = /^(gemini-[12]|gemma)/;
const DATA_FIELDS = ['text', 'inlineData', 'fileData', 'functionCall', 'functionResponse', 'executableCode', 'codeExecutionResult'];
const MODES = ['MODE_UNSPECIFIED', 'AUTO', 'ANY', 'NONE', 'VALIDATED'];
const STOPS_MAX = 5;
const CANDIDATES_MAX = 8;

export function readGeminiRequest(given, _headers, { model, stream, search }) {
  const unknown = unknownFields(given);
  if (unknown.length > 0) throw unknownNames(unknown);
  if (stream && search.get('alt') !== 'sse') throw bad('The lab streams with alt=sse alone.');
  const body = inCamelCase(given);
  const turns = readContents(body.contents, !UNSIGNED_MODELS.test(model));
  const instructions = body.systemInstruction?.parts;
  const system = instructions === undefined ? [] : [{ text: instructions.map(({ text = '' }) => text).join('') }];
  const config = readConfig(body.generationConfig ?? {});
  const tools = readTools(body.tools);
  const last = turns.at(-1);
  return {
    model,
    stream,
    ...config,
    tools,
    tool_choice: readToolChoice(body.toolConfig?.functionCallingConfig, tools),
    is_parallel: true,
    logprobs: null,
    include_usage: true,
    last_role: last.role,
    last_user_text: turns.findLast(({ role }) => role === 'user')?.text ?? '',
    prefill_text: last.role === 'assistant' ? last.text : '',
    tool_result_text: last.text,
    prompt_tokens: countTokens([...system, ...turns]),
  };
}

/** The turns as `{ role, text }`, where the answers to calls have the role 'tool'. */
function readContents(contents, isSigned) {
  if (!Array.isArray(contents) || contents.length === 0) throw bad('* GenerateContentRequest.contents: contents is not specified\n');
  return contents.map(({ role = 'user', parts }, at) => {
    if (role !== 'user' && role !== 'model') throw bad('Please use a valid role: user, model.');
    const path = `GenerateContentRequest.contents[${at}].parts`;
    if (!Array.isArray(parts) || parts.length === 0) throw bad(`* ${path}: contents.parts must not be empty.\n`);
    parts.forEach((part, nth) => checkPart(part, `${path}[${nth}]`));
    checkCalls(contents, at);
    if (role === 'model' && isSigned) checkSignature(parts, at);
    const responses = parts.filter(({ functionResponse }) => functionResponse !== undefined);
    const text = parts.map(({ text = '', thought }) => (thought ? '' : text)).join('');
    if (role === 'model') return { role: 'assistant', text };
    return responses.length > 0 ? { role: 'tool', text: responses.map(returned).join('') } : { role: 'user', text };
  });
}

function checkPart(part, path) {
  const data = DATA_FIELDS.filter((field) => part[field] !== undefined);
  const isEmpty = data.length === 0 || (part.text === '' && part.thoughtSignature === undefined);
  if (isEmpty) throw bad(`* ${path}.data: required oneof field 'data' must have one initialized field\n`);
  if (data.length > 1) throw bad(`Invalid value at '${path}' (oneof), oneof field 'data' is already set. Cannot set '${data[1]}'`);
  const call = part.functionCall ?? part.functionResponse;
  if (call !== undefined && (typeof call.name !== 'string' || call.name === '')) {
    throw bad(`* ${path}.${snakeCall(part)}.name: Name cannot be empty.\n`);
  }
  if (part.functionCall?.args !== undefined && !isRecord(part.functionCall.args)) throw bad(`Invalid value at '${path}.function_call.args' (type.googleapis.com/google.protobuf.Struct)`);
  if (part.functionResponse !== undefined && !isRecord(part.functionResponse.response)) {
    throw bad(`* ${path}.function_response.response: field is required\n`);
  }
}

const snakeCall = ({ functionCall }) => (functionCall === undefined ? 'function_response' : 'function_call');
const callsIn = (content) => (content?.parts ?? []).filter(({ functionCall }) => functionCall !== undefined);
const responsesIn = (content) => (content?.parts ?? []).filter(({ functionResponse }) => functionResponse !== undefined);

/** A turn of calls follows the user's, and is answered by the next with as many responses, each of a function that was called. */
function checkCalls(contents, at) {
  const calls = callsIn(contents[at]);
  const before = contents[at - 1];
  if (calls.length > 0 && (before === undefined || before.role === 'model')) {
    throw bad('Please ensure that function call turn comes immediately after a user turn or after a function response turn.');
  }
  const asked = callsIn(before).map(({ functionCall }) => functionCall.name).sort();
  const answered = responsesIn(contents[at]).map(({ functionResponse }) => functionResponse.name).sort();
  if (asked.length !== answered.length) {
    throw bad('Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.');
  }
  if (asked.some((name, nth) => name !== answered[nth])) throw bad('Please ensure that function response names match the function calls.');
}

function checkSignature(parts, at) {
  const first = parts.find(({ functionCall }) => functionCall !== undefined);
  if (first === undefined) return;
  if (!first.thoughtSignature) {
    throw bad(`Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and missing thought_signature may lead to degraded model performance. Additional data, function call \`default_api:${first.functionCall.name}\` , position ${at + 1}.`);
  }
  if (first.thoughtSignature !== SIGNATURE && !DUMMIES.includes(first.thoughtSignature)) throw bad('Thought signature is not valid.');
}

function returned({ functionResponse: { response } }) {
  const value = response.output ?? response.result ?? response.error ?? response;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function readConfig(config) {
  const { responseMimeType = 'text/plain', responseSchema, responseJsonSchema, stopSequences = [] } = config;
  if (!['text/plain', 'application/json', 'text/x.enum'].includes(responseMimeType)) {
    throw bad(`* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are \`text/plain\`, \`application/json\`, \`application/xml\`, \`application/yaml\` and \`text/x.enum\`.\n`);
  }
  if (responseSchema !== undefined && responseJsonSchema !== undefined) {
    throw bad('* GenerateContentRequest.generation_config: only one of response_schema and response_json_schema can be set.\n');
  }
  const schema = responseJsonSchema ?? lowerCased(responseSchema) ?? null;
  if (schema !== null && responseMimeType !== 'application/json') {
    throw bad(`* GenerateContentRequest.generation_config.response_mime_type: response schema is only supported with response_mime_type \`application/json\`.\n`);
  }
  if (stopSequences.length > STOPS_MAX) throw bad(`* GenerateContentRequest.generation_config.stop_sequences: at most ${STOPS_MAX} stop sequences are allowed.\n`);
  return {
    n: within(config.candidateCount, 'candidate_count', 1, CANDIDATES_MAX) ?? 1,
    max_tokens: within(config.maxOutputTokens, 'max_output_tokens', 1, 2 ** 31 - 1),
    temperature: within(config.temperature, 'temperature', 0, 2),
    top_p: within(config.topP, 'top_p', 0, 1),
    stops: stopSequences,
    schema,
    is_json_object: responseMimeType === 'application/json' && schema === null,
  };
}

function within(value, name, low, high) {
  if (value === undefined) return null;
  const path = `generation_config.${name}`;
  if (typeof value !== 'number') throw bad(`Invalid value at '${path}' (TYPE_FLOAT), ${JSON.stringify(value)}`);
  if (value < low || value > high) throw bad(`* GenerateContentRequest.${path}: ${name} must be in the range [${low}, ${high}].\n`);
  return value;
}

function readTools(tools = []) {
  const declared = tools.flatMap(({ functionDeclarations = [] }) => functionDeclarations);
  return declared.map(({ name, parameters, parametersJsonSchema }, at) => {
    const path = `GenerateContentRequest.tools[0].function_declarations[${at}]`;
    if (typeof name !== 'string' || !/^[A-Za-z_][\w.:-]{0,127}$/.test(name)) {
      throw bad(`* ${path}.name: Invalid function name. Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 128.\n`);
    }
    if (parameters !== undefined && parametersJsonSchema !== undefined) {
      throw bad(`* ${path}: only one of parameters and parameters_json_schema can be set.\n`);
    }
    return { name, schema: parametersJsonSchema ?? lowerCased(parameters) ?? null };
  });
}

function readToolChoice(config, tools) {
  if (config === undefined) return { kind: 'auto' };
  if (tools.length === 0) throw bad('Function calling config is set without function_declarations.');
  const { mode = 'AUTO', allowedFunctionNames: names = [] } = config;
  if (!MODES.includes(mode)) throw bad(`Invalid value at 'tool_config.function_calling_config.mode' (type.googleapis.com/google.ai.generativelanguage.v1beta.FunctionCallingConfig.Mode), "${mode}"`);
  if (names.length > 0 && mode !== 'ANY' && mode !== 'VALIDATED') throw bad('Allowed function names should be set only when function calling mode is ANY.');
  const stranger = names.find((name) => !tools.some((tool) => tool.name === name));
  if (stranger !== undefined) throw bad(`allowed_function_names contains a name that is not declared: ${stranger}`);
  if (mode === 'NONE') return { kind: 'none' };
  if (names.length > 0) return { kind: 'tool', name: names[0] };
  return { kind: mode === 'ANY' ? 'any' : 'auto' };
}

/** Google's own form of a schema, whose types are in capitals, as a JSON Schema. */
function lowerCased(schema) {
  if (Array.isArray(schema)) return schema.map(lowerCased);
  if (!isRecord(schema)) return schema;
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, key === 'type' && typeof value === 'string' ? value.toLowerCase() : lowerCased(value)]));
}

const bad = (message, more = {}) => new Refused(400, message, { type: 'INVALID_ARGUMENT', ...more });

function unknownNames(fieldViolations) {
  const message = fieldViolations.map(({ description }) => description).join('\n');
  return bad(message, { details: [{ '@type': 'type.googleapis.com/google.rpc.BadRequest', fieldViolations }] });
}
