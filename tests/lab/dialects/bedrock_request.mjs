// Reads a request in the dialect of Amazon Bedrock's Converse and ConverseStream.
//
// `readBedrockRequest` returns what `answer.mjs` needs to know, or throws `Refused` in the words of the real API for roles, blank texts,
// tool results, bounds, and what Claude's models do not take of a schema. A field that the service's description does not have is
// refused too: the real API passes over it in silence, and a router that misspells one would never know.
// Wire format: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html> and the service's description in
// botocore 1.44.5, read on 2026-11-21; the sentences are those that users quote in issue trackers.
// Not checked: the bytes of images and documents, guardrails, and prompts that are kept at AWS.

import { isRecord } from '../check.mjs';
import { Refused } from '../refused.mjs';
import { refusedIn } from './claude_schema.mjs';
import { countTokens } from './openai_request.mjs';

/** What signs the lab's own thoughts. */
export const SIGNATURE = Buffer.from('a signature that only the lab would accept').toString('base64');

const fieldsOf = (names) => Object.fromEntries(names.split(' ').map((name) => [name, true]));
/** By structure: each field with the structure that it holds, in a list where there are several, or anything. */
const STRUCTURES = {
  request: {
    ...fieldsOf('additionalModelRequestFields additionalModelResponseFieldPaths guardrailConfig performanceConfig promptVariables requestMetadata serviceTier'),
    messages: ['message'],
    system: ['block'],
    inferenceConfig: 'inferenceConfig',
    toolConfig: 'toolConfig',
    outputConfig: 'outputConfig',
  },
  message: { role: true, content: ['block'] },
  block: {
    ...fieldsOf('text audio cachePoint citationsContent guardContent reasoningContent searchResult video'),
    image: 'image',
    document: 'document',
    toolUse: 'toolUse',
    toolResult: 'toolResult',
  },
  image: fieldsOf('format source'),
  document: fieldsOf('format name source context citations'),
  toolUse: fieldsOf('toolUseId name input type'),
  toolResult: { ...fieldsOf('toolUseId status type'), content: ['resultBlock'] },
  resultBlock: { ...fieldsOf('json text searchResult video'), image: 'image', document: 'document' },
  inferenceConfig: fieldsOf('maxTokens temperature topP stopSequences'),
  toolConfig: { tools: ['tool'], toolChoice: 'toolChoice' },
  tool: { ...fieldsOf('cachePoint systemTool'), toolSpec: 'toolSpec' },
  toolSpec: { ...fieldsOf('name description strict'), inputSchema: 'inputSchema' },
  inputSchema: fieldsOf('json'),
  toolChoice: { auto: 'nothing', any: 'nothing', tool: 'name' },
  nothing: {},
  name: fieldsOf('name'),
  outputConfig: { effort: true, textFormat: 'textFormat' },
  textFormat: { type: true, structure: 'structure' },
  structure: { jsonSchema: 'jsonSchema' },
  jsonSchema: fieldsOf('schema name description'),
};
const CALL_ID = /^[a-zA-Z0-9_.:-]{1,64}$/;
const TOOL_NAME = /^[a-zA-Z0-9_-]{1,64}$/;
const LABELS_MAX = 16;

export function readBedrockRequest(body, _headers, { model, stream }) {
  checkFields(body, 'request', '');
  const turns = readMessages(body);
  const system = (body.system ?? []).filter(({ text }) => text !== undefined);
  if (system.some(({ text }) => text.trim() === '')) throw bad('The text field in the SystemContentBlock object is blank. Add text to the text field, and try again.');
  const { maxTokens, stopSequences = [], temperature, topP } = body.inferenceConfig ?? {};
  within('inferenceConfig.maxTokens', maxTokens, 1, 2 ** 31 - 1);
  within('inferenceConfig.temperature', temperature, 0, 1);
  within('inferenceConfig.topP', topP, 0, 1);
  checkLabels(body.requestMetadata);
  const tools = readTools(body.toolConfig);
  const last = turns.at(-1);
  return {
    model,
    stream,
    n: 1,
    max_tokens: maxTokens ?? null,
    stops: stopSequences,
    tools,
    tool_choice: readToolChoice(body.toolConfig?.toolChoice, tools),
    is_parallel: true,
    schema: readFormat(body.outputConfig?.textFormat),
    is_json_object: false,
    logprobs: null,
    include_usage: true,
    last_role: last.role,
    last_user_text: turns.findLast(({ role }) => role === 'user')?.text ?? '',
    prefill_text: last.role === 'assistant' ? last.text : '',
    tool_result_text: last.text,
    prompt_tokens: countTokens([...(system.length > 0 ? [{ text: system.map(({ text }) => text).join('') }] : []), ...turns]),
  };
}

function checkFields(value, name, path) {
  if (!isRecord(value)) throw invalid(path, 'Member must be an object');
  for (const [field, inner] of Object.entries(value)) {
    const kind = STRUCTURES[name][field];
    const at = path === '' ? field : `${path}.${field}`;
    if (kind === undefined) throw invalid(at, 'Member must be known to the service (the lab is stricter here than AWS)');
    if (typeof kind === 'string') checkFields(inner, kind, at);
    if (Array.isArray(kind)) {
      if (!Array.isArray(inner)) throw invalid(at, 'Member must be a list');
      inner.forEach((each, nth) => checkFields(each, kind[0], `${at}.${nth + 1}.member`));
    }
  }
}

/** The turns as `{ role, text }`, where results of tools have the role 'tool'. */
function readMessages({ messages, toolConfig }) {
  if (messages === undefined || messages.length === 0) throw bad('The messages field is empty. Add a Message object to the messages field and try again.');
  if (messages[0].role !== 'user') throw bad('A conversation must start with a user message. Try again with a conversation that starts with a user message.');
  return messages.map(({ role, content }, at) => {
    if (role !== 'user' && role !== 'assistant') throw invalid(`messages.${at + 1}.member.role`, 'Member must satisfy enum value set: [user, assistant]');
    if (role === messages[at - 1]?.role) {
      throw bad('A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.');
    }
    if (!Array.isArray(content) || content.length === 0) {
      throw bad(`The content field in the Message object at messages.${at} is empty. Add a ContentBlock object to the content field and try again.`);
    }
    content.forEach((block, nth) => checkBlock(block, `messages.${at}.content.${nth}`));
    checkResults(messages, at, toolConfig);
    const isLastWord = role === 'assistant' && at === messages.length - 1;
    if (isLastWord && /\s$/.test(content.at(-1).text ?? '')) throw ofModel('messages: final assistant content cannot end with trailing whitespace');
    const results = content.filter(({ toolResult }) => toolResult !== undefined);
    const text = content.map(({ text = '' }) => text).join('');
    return results.length > 0 ? { role: 'tool', text: results.map(({ toolResult }) => returned(toolResult)).join('') } : { role, text };
  });
}

const returned = ({ content }) => content.map(({ text, json }) => text ?? (json === undefined ? '' : JSON.stringify(json))).join('');

function checkBlock(block, path) {
  const kinds = Object.keys(block);
  if (kinds.length !== 1) throw invalid(path, `Member must have one of its fields set, and has ${kinds.length}`);
  if (block.text?.trim() === '') throw bad(`The text field in the ContentBlock object at ${path} is blank. Add text to the text field, and try again.`);
  const { toolUse, toolResult } = block;
  const id = (toolUse ?? toolResult)?.toolUseId;
  if ((toolUse ?? toolResult) !== undefined && !CALL_ID.test(id)) throw invalid(`${path}.toolUseId`, 'Member must satisfy regular expression pattern: [a-zA-Z0-9_.:-]+, and have length less than or equal to 64');
  if (toolUse !== undefined && !TOOL_NAME.test(toolUse.name)) throw invalid(`${path}.toolUse.name`, 'Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+');
  if (toolUse !== undefined && !isRecord(toolUse.input)) throw bad(`The format of the value at ${path}.toolUse.input is invalid. Provide a json object for the field and try again.`);
  if (toolResult !== undefined && !Array.isArray(toolResult.content)) throw invalid(`${path}.toolResult.content`, 'Member must not be null');
}

const idsOf = (message, kind) => (message?.content ?? []).flatMap((block) => block[kind]?.toolUseId ?? []);

/** All results of a turn's calls are in the next turn, and no others. */
function checkResults(messages, at, toolConfig) {
  const [asked, answered] = [idsOf(messages[at - 1], 'toolUse'), idsOf(messages[at], 'toolResult')];
  const missing = asked.filter((id) => !answered.includes(id));
  if (missing.length > 0) throw bad(`Expected toolResult blocks at messages.${at}.content for the following Ids: ${missing.join(', ')}`);
  if (answered.length > asked.length) throw bad(`The number of toolResult blocks at messages.${at}.content exceeds the number of toolUse blocks of previous turn.`);
  if (idsOf(messages[at], 'toolUse').length + answered.length > 0 && toolConfig === undefined) {
    throw bad('The toolConfig field must be defined when using toolUse and toolResult content blocks.');
  }
}

function checkLabels(labels) {
  if (labels === undefined) return;
  const entries = Object.entries(labels);
  const isLabel = (text) => typeof text === 'string' && /^[a-zA-Z0-9\s:_@$#=/+,\-.]{0,256}$/.test(text);
  if (entries.length === 0 || entries.length > LABELS_MAX) throw invalid('requestMetadata', 'Member must have length from 1 to 16');
  if (!entries.every(([key, value]) => key !== '' && isLabel(key) && isLabel(value))) throw invalid('requestMetadata', 'Map value must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z0-9\\s:_@$#=/+,-.]{0,256}]');
}

function readTools(config) {
  if (config === undefined) return [];
  if (!Array.isArray(config.tools) || config.tools.length === 0) throw invalid('toolConfig.tools', 'Member must have length greater than or equal to 1');
  return config.tools.filter(({ toolSpec }) => toolSpec !== undefined).map(({ toolSpec: { name, description, inputSchema } }, at) => {
    const path = `toolConfig.tools.${at + 1}.member.toolSpec`;
    if (!TOOL_NAME.test(name)) throw invalid(`${path}.name`, 'Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+');
    if (description === '') throw invalid(`${path}.description`, 'Member must have length greater than or equal to 1');
    if (inputSchema?.json?.type !== 'object') throw bad(`The value at toolConfig.tools.${at}.toolSpec.inputSchema.json.type must be one of the following: object.`);
    return { name, schema: inputSchema.json };
  });
}

function readToolChoice(choice, tools) {
  if (choice === undefined) return { kind: 'auto' };
  if (Object.keys(choice).length !== 1) throw invalid('toolConfig.toolChoice', 'Member must have one of its fields set');
  if (choice.tool === undefined) return { kind: choice.any === undefined ? 'auto' : 'any' };
  const { name } = choice.tool;
  if (!tools.some((tool) => tool.name === name)) throw bad(`The tool ${name} in toolConfig.toolChoice is not in toolConfig.tools.`);
  return { kind: 'tool', name };
}

/** The schema is a text that holds it. */
function readFormat(format) {
  if (format === undefined) return null;
  const text = format.structure?.jsonSchema?.schema;
  if (format.type !== 'json_schema' || typeof text !== 'string') throw invalid('outputConfig.textFormat', 'Member must have the type json_schema and a structure');
  let schema;
  try {
    schema = JSON.parse(text);
  } catch {
    throw bad('The JSON schema in outputConfig.textFormat.structure.jsonSchema.schema is not valid JSON.');
  }
  const reason = refusedIn(schema);
  if (reason !== null) throw ofModel(`output_config.format.schema: ${reason}`);
  return schema;
}

function within(path, value, low, high) {
  if (value === undefined) return;
  if (typeof value !== 'number') throw invalid(path, 'Member must be a number');
  if (value < low) throw invalid(path, `Member must have value greater than or equal to ${low}`, value);
  if (value > high) throw invalid(path, `Member must have value less than or equal to ${high}`, value);
}

const bad = (message) => new Refused(400, message, { type: 'ValidationException' });
const ofModel = (message) => bad(`The model returned the following errors: ${message}`);

function invalid(path, constraint, value) {
  const shown = value === undefined ? 'Value' : `Value '${value}'`;
  return bad(`1 validation error detected: ${shown} at '${path}' failed to satisfy constraint: ${constraint}`);
}
