// What is made of the rows: the constants that the Worker is built with, and the tables that people read.
//
// The Worker needs neither sources nor the days on which they were read, so those stay in the JSON and the docs.

import { NAMES, isTemplate } from './rows.mjs';

/** rustfmt's width of a line. */
const LINE_MAX = 100;

const BEGIN = '<!-- written by `npm run catalogue` -->';
const END = '<!-- end of what `npm run catalogue` writes -->';

const PRICE_FIELDS = { in_audio: 'input_audio', in_image: 'input_image', reasoning: 'reasoning' };

/** `src/providers/builtin.rs`. */
export function rust({ providers, models }) {
  const used = (kind, names) => [...new Set(names.map((name) => NAMES[kind].get(name)))].sort();
  const policies = providers.flatMap((row) => row.data_policy ?? []);
  const quirks = providers.flatMap((row) => Object.keys(row.quirks ?? {}));
  const abilities = models.flatMap((row) => row.can);
  const hasPrice = models.some((row) => extras(row.usd_per_mtok).length > 0);
  return `//! The catalogue that ships with the Worker. \`npm run catalogue\` writes this file from \`catalogue.json\`, where each
//! row's sources are and where a provider is added; \`docs/providers.md\` says how.
//!
//! Prices are US dollars per million tokens on the row's day, those of short prompts where long ones cost more. A
//! team's \`providers\` entry overrides any of it. Models that are not listed work as well: their price and abilities
//! are then unknown, and exclude nothing.

${use('super::Ability', used('ability', abilities))}
${use('super::DataPolicy', used('policy', policies))}
${hasPrice ? 'use super::Price;\n' : ''}use super::row::{AuthRow, ModelRow, ProviderRow, compatible, price};
use crate::dialects::Dialect;
${use('crate::dialects::Quirk', used('quirk', quirks))}

#[rustfmt::skip]
pub const PROVIDERS: &[ProviderRow] = &[
${providers.map((row) => `    ${providerRow(row)},`).join('\n')}
];

#[rustfmt::skip]
pub const MODELS: &[ModelRow] = &[
${models.map((row) => `    ${modelRow(row)},`).join('\n')}
];
`;
}

/** The import of some names as rustfmt leaves it: on one line if it fits, else as many a line as fit. */
function use(path, names) {
  const whole = `use ${path}::{${names.join(', ')}};`;
  if (whole.length <= LINE_MAX) return whole;
  const lines = [];
  for (const name of names) {
    const longer = lines.length === 0 ? undefined : `${lines.at(-1)} ${name},`;
    if (longer !== undefined && longer.length <= LINE_MAX) lines[lines.length - 1] = longer;
    else lines.push(`    ${name},`);
  }
  return [`use ${path}::{`, ...lines, '};'].join('\n');
}

/** A page of the docs with its tables written anew. */
export function page(text, catalogue) {
  const [head, rest] = text.split(BEGIN);
  const [, tail] = (rest ?? '').split(END);
  if (tail === undefined) throw new Error(`expected the marks ${BEGIN} and ${END}`);
  return `${head}${BEGIN}\n\n${tables(catalogue)}\n\n${END}${tail}`;
}

/** The JSON Schema with these providers' names: editors complete them. A URL is demanded of those that have none of their own. */
export function schema(text, catalogue) {
  const document = JSON.parse(text);
  const { providers } = document.properties;
  const { $ref, anyOf } = providers.additionalProperties;
  const described = ({ name, base_url }) => [name, isTemplate(base_url) ? { $ref, anyOf } : { $ref }];
  providers.properties = Object.fromEntries(catalogue.providers.map(described));
  return `${JSON.stringify(document, null, 2)}\n`;
}

function providerRow(row) {
  const url = isTemplate(row.base_url) ? '' : row.base_url;
  const { bearer } = row.auth;
  const isPlain = row.dialect === 'openai-chat' && bearer !== undefined;
  const begin = isPlain
    ? `compatible(${text(row.name)}, ${text(url)}, ${text(bearer)})`
    : `ProviderRow::new(${text(row.name)}, Dialect::${NAMES.dialect.get(row.dialect)}, ${text(url)}, ${auth(row.auth)})`;
  const quirks = Object.keys(row.quirks ?? {}).map((name) => `.with(${NAMES.quirk.get(name)})`);
  return [
    begin,
    row.region === undefined ? '' : `.region(${text(row.region)})`,
    row.data_policy === undefined ? '' : `.keeps(${NAMES.policy.get(row.data_policy)})`,
    ...quirks,
  ].join('');
}

function auth({ bearer, header, google_service_account }) {
  if (bearer !== undefined) return `AuthRow::Bearer(${text(bearer)})`;
  if (header !== undefined) return `AuthRow::Header(${text(header.name)}, ${text(header.secret)})`;
  return `AuthRow::GoogleServiceAccount(${text(google_service_account)})`;
}

/** The secret, and how it is sent where it is no bearer token. */
function secretOf({ bearer, header, google_service_account }) {
  if (header !== undefined) return `\`${header.secret}\` in \`${header.name}\``;
  return bearer === undefined ? `\`${google_service_account}\`, a service account's key` : `\`${bearer}\``;
}

function modelRow(row) {
  const can = row.can.map((name) => NAMES.ability.get(name)).join(', ');
  return `ModelRow::new(${text(row.name)}, ${grouped(row.context_tokens)}, ${price(row.usd_per_mtok)}, &[${can}], ${text(row.as_of)})`;
}

function price(usd) {
  const tiers = [usd.in, usd.in_cached ?? usd.in, usd.cache_write ?? usd.in, usd.out];
  const plain = `price(${tiers.map(float).join(', ')})`;
  const others = extras(usd).map((name) => `${PRICE_FIELDS[name]}: ${float(usd[name])}`);
  return others.length === 0 ? plain : `Price { ${others.join(', ')}, ..${plain} }`;
}

function extras(usd) {
  return Object.keys(PRICE_FIELDS).filter((name) => usd[name] !== undefined);
}

function text(value) {
  return JSON.stringify(value);
}

function float(value) {
  const [whole, fraction = '0'] = String(value).split('.');
  return `${whole}.${fraction.replace(/(\d{3})(?=\d)/g, '$1_')}`;
}

function grouped(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, '_');
}

function tables({ providers, models }) {
  const count = (row) => models.filter(({ name }) => name.startsWith(`${row.name}/`)).length || '';
  const days = models.map((row) => row.as_of).sort();
  const lines = providers.map((row) =>
    [
      `[${row.name}](${row.source})`,
      row.dialect,
      `\`${row.base_url}\``,
      secretOf(row.auth),
      row.region === undefined ? '' : `[${row.region}](${row.region_source})`,
      row.data_policy === undefined ? '' : `[${row.data_policy}](${row.data_policy_source}), ${row.data_policy_read}`,
      Object.entries(row.quirks ?? {})
        .map(([name, source]) => `[${name}](${source})`)
        .join(', '),
      count(row),
    ].join(' | '),
  );
  const head = ['provider', 'dialect', 'base URL', 'secret', 'region', 'data policy, read on', 'quirks', 'models'];
  return [
    `${providers.length} providers, ${models.length} models with prices of ${days[0]} to ${days.at(-1)}:`,
    '',
    `| ${head.join(' | ')} |`,
    `|${head.map(() => '---').join('|')}|`,
    ...lines.map((line) => `| ${line} |`),
  ].join('\n');
}
