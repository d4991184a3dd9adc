// What was found, for people: the targets and whether they were met, tables for the terminal, and docs/benchmarks.md.
//
// The docs' part stands between two markers and is written whole; what is around it is written by hand.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from '../../scripts/project.mjs';
import { bars } from './plot.mjs';

const DOC = join(ROOT, 'docs', 'benchmarks.md');
const PLOT = join(ROOT, 'docs', 'benchmarks.svg');
const MARKERS = ['<!-- edge: written by npm run bench -- edge --write-docs -->', '<!-- /edge -->'];

/**
 * The targets, each `{ title, value, limit, is_met }`; a target whose figures were not taken is left out. One event per
 * read allows one in twenty to share its read: when the machine is busy a client is at times late to read, the floor's too.
 */
export function judge({ loads, cold_start_ms }) {
  const at = (load, system) => loads[load]?.systems[system];
  const cpuRatio = (load, other) => loads[load]?.waypost_cpu_to[other]?.median;
  const perRead = (load) => at(load, 'waypost')?.events_per_read?.median;
  const late = (load) => {
    const [ours, floor] = [at(load, 'waypost'), at(load, 'floor')];
    return ours && floor ? ours.first_token_ms.median - floor.first_token_ms.median : undefined;
  };
  const targets = [
    ['CPU per JSON request, 16 connections, to the floor’s', cpuRatio('json-16', 'floor'), 1.75, '×'],
    ['CPU per paced stream, to the floor’s', cpuRatio('paced-lf', 'floor'), 1.5, '×'],
    ['time to first token beyond the floor’s, paced', late('paced-lf'), 5, ' ms'],
    ['events per client read, LF', perRead('paced-lf'), 1.05, ''],
    ['events per client read, CRLF', perRead('paced-crlf'), 1.05, ''],
    ['cold start', cold_start_ms?.waypost?.median, 60, ' ms'],
    ['CPU per JSON request, 16 connections, to Noveum’s', cpuRatio('json-16', 'noveum'), 0.6, '×'],
    ['CPU per paced stream, to Noveum’s', cpuRatio('paced-lf', 'noveum'), 0.45, '×'],
  ];
  return targets
    .filter(([, value]) => value !== undefined)
    .map(([title, value, limit, unit]) => ({ title, value, limit, unit, is_met: value <= limit }));
}

/** All tables as Markdown, which the terminal shows as well. */
export function tables(found) {
  const { loads, systems, cold_start_ms, memory_mb, targets } = found;
  const columns = ['CPU µs', 'min to max', 'to the floor', 'min to max', 'per second', 'p50 ms', 'p99 ms'];
  const parts = Object.values(loads).map((load) => {
    const isStream = Object.values(load.systems).some((one) => one.first_token_ms !== null);
    const heads = isStream ? [...columns, 'first token ms', 'events per read'] : columns;
    const rows = systems
      .filter(({ name }) => load.systems[name])
      .map(({ name, title }) => [title, ...cells(load.systems[name], isStream)]);
    return `**${load.title}**\n\n${grid(['', ...heads], rows)}`;
  });
  const starts = systems
    .filter(({ name }) => cold_start_ms?.[name] || memory_mb?.[name])
    .map(({ name, title }) => [
      title,
      figure(cold_start_ms?.[name]?.median),
      range(cold_start_ms?.[name]),
      figure(memory_mb?.[name]?.median),
    ]);
  const judged = targets.map(({ title, value, limit, unit, is_met }) => [
    title,
    `${number(value)}${unit}`,
    `${limit}${unit}`,
    is_met ? 'met' : '**missed**',
  ]);
  return [
    `**Targets**\n\n${grid(['', 'measured', 'at most', ''], judged)}`,
    ...parts,
    `**Cold start and memory**\n\n${grid(['', 'start ms', 'min to max', 'resident MB after all rounds'], starts)}`,
  ].join('\n\n');
}

function cells(one, isStream) {
  const shown = [
    figure(one.cpu_us.median),
    range(one.cpu_us),
    figure(one.cpu_ratio?.median),
    range(one.cpu_ratio),
    figure(one.per_second.median),
    figure(one.p50_ms.median),
    figure(one.p99_ms.median),
  ];
  return isStream
    ? [...shown, figure(one.first_token_ms?.median), figure(one.events_per_read?.median)]
    : shown;
}

function number(value) {
  if (value >= 1000) return Math.round(value).toLocaleString('en');
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

const figure = (value) => (value === undefined || value === null ? '' : number(value));
const range = (spread) => (spread ? `${number(spread.min)} to ${number(spread.max)}` : '');

/** A Markdown table whose columns also line up as plain text. */
function grid(heads, rows) {
  const widths = heads.map((head, column) =>
    Math.max(3, head.length, ...rows.map((row) => row[column].length)),
  );
  const line = (row) =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join(' | ')} |`;
  const rule = widths.map((width, column) =>
    column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  );
  return [line(heads), line(rule), ...rows.map(line)].join('\n');
}

/** Under what circumstances: the machine, the versions, the command, the day. */
export function circumstances({ date, command, machine, versions, rounds, records, failed }) {
  const { cpu, cores, kernel, pinned, load_average } = machine;
  const lines = [
    `\`${command}\` on ${date}, ${rounds} rounds. ${cpu}, ${cores} cores, Linux ${kernel}; ${pinned}.`,
    `Load average ${load_average.map((load) => load.toFixed(1)).join(' at the start, ')} at the end.`,
    `${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}.`,
    `Waypost handed ${records.delivered.toLocaleString('en')} records to the queue for ${records.expected.toLocaleString('en')} requests.`,
    ...failed.map(({ title, reason }) => `${title} is missing: ${reason.split('\n')[0]}`),
  ];
  return lines.join('\n');
}

/** Another build is of one person's interest, so it stays out. */
export function writeDocs(all) {
  const found = { ...all, systems: all.systems.filter(({ name }) => name !== 'other') };
  const doc = readFileSync(DOC, 'utf8');
  const [begin, end] = MARKERS.map((marker) => doc.indexOf(marker));
  if (begin < 0 || end < begin) throw new Error(`${DOC} lacks the markers ${MARKERS.join(' and ')}`);
  const plot = '![CPU time per request and per stream, by system](benchmarks.svg)';
  const part = `${MARKERS[0]}\n\n${circumstances(found)}\n\n${plot}\n\n${tables(found)}\n\n`;
  writeFileSync(DOC, doc.slice(0, begin) + part + doc.slice(end));
  writeFileSync(PLOT, bars(panels(found)));
}

function panels({ loads, systems }) {
  const panel = (name) => ({
    title: `CPU µs: ${loads[name].title}`,
    bars: systems
      .filter((system) => system.name !== 'direct' && loads[name].systems[system.name])
      .map((system) => ({
        label: system.title,
        ...loads[name].systems[system.name].cpu_us,
        isOurs: system.name === 'waypost',
      })),
  });
  return ['json-16', 'paced-lf'].filter((name) => loads[name]).map(panel);
}
