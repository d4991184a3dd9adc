// Where each dialect is asked: which path is whose, and what the path says of the request.
//
// `endpointOf` knows every path that the lab answers. For the others it says in which dialect to refuse: by the beginning of the path,
// or the version header that Anthropic's clients send. Two dialects name the model, and whether to stream, in the path alone.
// Not here: what is answered (`provider.mjs`, `dialects/`).

import { anthropic } from './dialects/anthropic.mjs';
import { bedrock } from './dialects/bedrock.mjs';
import { cohere } from './dialects/cohere.mjs';
import { gemini } from './dialects/gemini.mjs';
import { openaiChat } from './dialects/openai_chat.mjs';
import { openaiCompletions } from './dialects/openai_completions.mjs';
import { openaiEmbeddings } from './dialects/openai_embeddings.mjs';
import { openaiResponses } from './dialects/openai_responses.mjs';

/** The three of OpenAI's and Anthropic's are answered with and without `/v1`. */
const PATHS = {
  '/chat/completions': openaiChat,
  '/completions': openaiCompletions,
  '/embeddings': openaiEmbeddings,
  '/responses': openaiResponses,
  '/messages': anthropic,
  '/v2/chat': cohere,
};
/** Paths with the model in them, and then what is asked of it. */
const FORMS = [
  { form: /^\/v1beta\/models\/([^/]+):(generateContent|streamGenerateContent)$/, dialect: gemini, streaming: 'streamGenerateContent' },
  { form: /^\/model\/([^/]+)\/(converse|converse-stream)$/, dialect: bedrock, streaming: 'converse-stream' },
];
/** Whose clients ask at paths that begin so. */
const BEGINNINGS = [['/messages', anthropic], ['/v1beta/', gemini], ['/model/', bedrock], ['/v2/', cohere]];

/**
 * What a URL asks for: `{ path, search, dialect, isKnown, model, stream }`, the last two undefined where the body says them. `path`
 * is without the `/v1` before it.
 */
export function endpointOf(url, headers) {
  const [given, query = ''] = url.split('?', 2);
  const path = given.startsWith('/v1/') ? given.slice(3) : given;
  const search = new URLSearchParams(query);
  if (Object.hasOwn(PATHS, path)) return { path, search, dialect: PATHS[path], isKnown: true };
  for (const { form, dialect, streaming } of FORMS) {
    const [, segment, method] = form.exec(path) ?? [];
    const model = segment === undefined ? null : decoded(segment);
    if (model !== null) return { path, search, dialect, isKnown: true, model, stream: method === streaming };
  }
  const whose = BEGINNINGS.find(([beginning]) => path.startsWith(beginning))?.[1];
  return { path, search, dialect: whose ?? (headers['anthropic-version'] === undefined ? openaiChat : anthropic), isKnown: false };
}

/** Null where percent signs stand for no text. */
function decoded(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
}

/** The header with a request's id, for dialects that have one. */
export function requestIdOf({ requestIdHeader }, { request_id }) {
  return requestIdHeader === null ? {} : { [requestIdHeader]: request_id };
}
