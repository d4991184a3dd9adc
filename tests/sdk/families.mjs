// The SDKs, as rows: what each is called, whose client it is, and which exception it raises for what.
//
// A further SDK is a driver in `npm/` or `python/` and a row here. A client of a dialect that the Worker does not take yet
// is left out by `CLIENT_DIALECTS`; a provider's dialect is a row of `PROVIDERS`.
// `classes` names the exception for each kind of error in `cases.mjs`, as the SDK's own documentation does; a kind that is not
// there cannot happen with that SDK. `filtered` is how the SDK names an answer that a safety filter ended, `field` the field at
// fault in the request of its operation `mistake`, `also` what it calls besides conversations.

/** What a client may speak to the Worker. */
export const CLIENT_DIALECTS = ['openai-chat', 'openai-responses', 'anthropic', 'gemini'];

const FILTERED = { status: 400, error_code: 'content_filter', message: 'The response was filtered.' };
const BLOCKED = 'Output blocked by content filtering policy';
/**
 * What a provider may speak: the status with which it says that it is overloaded, what it says when its filter refuses a prompt (null
 * where that is no error), and what it has besides conversations. The lab speaks each, and tests/edge/world.mjs has a provider for it.
 */
export const PROVIDERS = [
  { dialect: 'openai-chat', overloaded: 503, refusal: FILTERED, also: ['embeddings'] },
  { dialect: 'openai-responses', overloaded: 503, refusal: FILTERED },
  { dialect: 'anthropic', overloaded: 529, refusal: { status: 400, message: BLOCKED } },
  { dialect: 'gemini', overloaded: 503, refusal: null },
  { dialect: 'cohere', overloaded: 503, refusal: { status: 498, message: 'the request was blocked by a filter' } },
  { dialect: 'bedrock', overloaded: 503, refusal: { status: 400, message: `The model returned the following errors: ${BLOCKED}` } },
];

const OPENAI = {
  authentication: 'AuthenticationError',
  permission: 'PermissionDeniedError',
  'not found': 'NotFoundError',
  'wrong field': 'BadRequestError',
  invalid: 'BadRequestError',
  'rate limit': 'RateLimitError',
  overloaded: 'InternalServerError',
  context: 'BadRequestError',
  filter: 'BadRequestError',
  timeout: 'InternalServerError',
  upstream: 'InternalServerError',
  'cut off': 'APIError',
};
const ANTHROPIC = { ...OPENAI, overloaded: 'OverloadedError', timeout: 'GatewayTimeoutError' };

/** An SDK that has one class for every answer which is an error. Programs look at the status. */
function always(name, classes) {
  return Object.fromEntries(Object.keys(classes).map((kind) => [kind, name]));
}

function without(kind, { [kind]: _, ...rest }) {
  return rest;
}

const HIGHER_OPENAI = without('wrong field', OPENAI);
const HIGHER_ANTHROPIC = without('wrong field', ANTHROPIC);

const chat = { dialect: 'openai-chat', classes: OPENAI, filtered: 'content_filter', field: 'messages' };
const responses = { dialect: 'openai-responses', classes: OPENAI, filtered: 'content_filter', field: 'input' };
const messages = { dialect: 'anthropic', classes: ANTHROPIC, filtered: 'refusal', field: 'max_tokens' };
/** `openai` and `anthropic` have what differs from the SDKs inside. */
function langchain({ openai, anthropic }) {
  return [
    { name: 'langchain ChatOpenAI', ...chat, classes: { ...HIGHER_OPENAI, ...openai }, also: ['embeddings'] },
    { name: 'langchain ChatOpenAI responses', ...responses, classes: { ...HIGHER_OPENAI, ...openai } },
    { name: 'langchain ChatAnthropic', ...messages, classes: { ...HIGHER_ANTHROPIC, ...anthropic.classes }, isUsageAddedUp: anthropic.isUsageAddedUp },
  ];
}

/** LangChain's name for a prompt that is too long. In Python it does not know OpenAI's words for it. */
const context = 'ContextOverflowError';
/** It has an older SDK of Anthropic's, and adds up the counts of two events of which the second has the totals. */
const LANGCHAIN_JS = langchain({
  openai: { context },
  anthropic: { classes: { context, overloaded: 'InternalServerError', timeout: 'InternalServerError' }, isUsageAddedUp: true },
});
const LANGCHAIN_PYTHON = langchain({ openai: {}, anthropic: { classes: { context, timeout: 'AnthropicAPIError' } } });

const OPENAI_CLIENTS = [{ name: 'openai chat', ...chat, also: ['embeddings', 'completions'] }, { name: 'openai responses', ...responses }];
/** One class for all. Its number and the words of the API are in the message alone. */
const gemini = { dialect: 'gemini', classes: always('ApiError', OPENAI), filtered: 'SAFETY', field: 'contents[0].role' };
const AI_CLASSES = { ...always('APICallError', HIGHER_OPENAI), 'cut off': 'StreamProviderError' };

export const FAMILIES = [
  { name: 'openai', from: 'npm', driver: 'openai.mjs', clients: OPENAI_CLIENTS },
  { name: 'anthropic', from: 'npm', driver: 'anthropic.mjs', clients: [{ name: 'anthropic', ...messages }] },
  {
    name: 'vercel-ai',
    from: 'npm',
    driver: 'vercel_ai.mjs',
    clients: [
      { name: 'ai, compatible', ...chat, classes: AI_CLASSES, filtered: 'content-filter', also: ['embeddings'] },
      { name: 'ai, anthropic', ...messages, classes: AI_CLASSES, filtered: 'content-filter' },
    ],
  },
  { name: 'langchain-js', from: 'npm', driver: 'langchain.mjs', clients: LANGCHAIN_JS },
  {
    name: 'google-genai',
    from: 'npm',
    driver: 'google_genai.mjs',
    clients: [{ name: 'google-genai', ...gemini }],
  },
  { name: 'google-genai-python', from: 'pypi', driver: 'drive_google_genai', clients: [{ name: 'google-genai', ...gemini, classes: always('APIError', OPENAI) }] },
  { name: 'openai-python', from: 'pypi', driver: 'drive_openai', clients: OPENAI_CLIENTS },
  { name: 'anthropic-python', from: 'pypi', driver: 'drive_anthropic', clients: [{ name: 'anthropic', ...messages, field: 'messages' }] },
  { name: 'langchain-python', from: 'pypi', driver: 'drive_langchain', clients: LANGCHAIN_PYTHON },
];
