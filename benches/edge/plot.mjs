// Horizontal bars with their ranges, as SVG that reads on light and dark pages alike.

const WIDTH = 760;
const LABEL_WIDTH = 250;
const VALUE_WIDTH = 70;
const ROW = 26;
const TITLE = 34;

/** `panels` are `{ title, bars: [{ label, median, min, max, isOurs }] }`, one below the other, each with its own scale. */
export function bars(panels) {
  let top = 0;
  const drawn = panels.map((panel) => {
    const text = draw(panel, top);
    top += TITLE + panel.bars.length * ROW + 12;
    return text;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top}" width="${WIDTH}" height="${top}" font-family="system-ui, sans-serif" font-size="13">
<rect width="${WIDTH}" height="${top}" rx="6" fill="#ffffff"/>
${drawn.join('\n')}
</svg>
`;
}

function draw({ title, bars: rows }, top) {
  const most = Math.max(...rows.map(({ max }) => max));
  const x = (value) => LABEL_WIDTH + (value / most) * (WIDTH - LABEL_WIDTH - VALUE_WIDTH);
  const lines = rows.map(({ label, median, min, max, isOurs }, place) => {
    const y = top + TITLE + place * ROW;
    const middle = y + ROW / 2 - 2;
    return [
      text(LABEL_WIDTH - 10, middle + 4, label, `text-anchor="end"${isOurs ? ' font-weight="600"' : ''}`),
      `<rect x="${LABEL_WIDTH}" y="${y + 2}" width="${fixed(x(median) - LABEL_WIDTH)}" height="${ROW - 8}" fill="${isOurs ? '#d9480f' : '#8fa3b8'}"/>`,
      `<path d="M${fixed(x(min))} ${middle}H${fixed(x(max))}" stroke="#222222" stroke-width="1.5"/>`,
      text(fixed(x(max) + 6), middle + 4, Math.round(median).toLocaleString('en'), ''),
    ].join('\n');
  });
  return [text(12, top + 22, title, 'font-weight="600"'), ...lines].join('\n');
}

function text(x, y, content, attributes) {
  const safe = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x}" y="${y}" fill="#222222" ${attributes}>${safe}</text>`;
}

const fixed = (value) => value.toFixed(1);
