/** The page of a report. */
import { type Html, type HtmlValue, joinHtml, markup } from "./html.ts";
import { codeBlock, contentPolicy, type PageCode } from "./page_content.ts";

/** Plain, with light and dark themes; nothing is loaded. */
const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fcfcfa; --ink: #22252a; --faint: #6c727c; --line: #e4e4df; --dots: #b9bdc4;
  --one: #2f6fb4; --two: #c8742c; --three: #3f8f63; --dead: #c43d4b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16181c; --ink: #e3e5e8; --faint: #8d949f; --line: #2b2f36; --dots: #4d535d;
    --one: #6aa9ec; --two: #e79a58; --three: #6cc094; --dead: #f0717d;
  }
}
* { box-sizing: border-box; margin: 0; }
body {
  background: var(--paper); color: var(--ink); max-width: 74rem; margin: 0 auto; padding: 3.5rem 1.5rem 5rem;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
h1 { font-size: 1.7rem; font-weight: 600; letter-spacing: -0.01em; }
h2 { font-size: 1.05rem; font-weight: 600; margin: 3.2rem 0 0.3rem; }
h3 { font-size: 0.9rem; font-weight: 600; white-space: nowrap; }
p, dd, td, th { font-size: 0.875rem; }
.faint { color: var(--faint); max-width: 46rem; }
code { font: 0.8125rem ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace; }
.numbers { display: flex; flex-wrap: wrap; gap: 1.2rem 3rem; margin-top: 2rem; }
.numbers dt { color: var(--faint); font-size: 0.8rem; }
.numbers dd { font-size: 1.5rem; font-variant-numeric: tabular-nums; line-height: 1.3; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 2rem 2.5rem; margin-top: 1rem; }
figcaption { display: flex; justify-content: space-between; align-items: baseline; column-gap: 1rem; margin-bottom: 0.4rem; }
.key { margin-left: 1.1rem; color: var(--faint); font-size: 0.8rem; white-space: nowrap; }
.key i { display: inline-block; width: 0.9rem; height: 2px; vertical-align: middle; margin-right: 0.4rem; background: currentColor; }
.key b { font-weight: 500; color: var(--ink); font-variant-numeric: tabular-nums; }
.key i.disc { width: 7px; height: 7px; border-radius: 50%; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
.grid { stroke: var(--line); }
.tick { fill: var(--faint); font-size: 11px; font-variant-numeric: tabular-nums; }
polyline { fill: none; stroke: currentColor; stroke-width: 1.6; stroke-linejoin: round; }
circle { fill: currentColor; }
.series1, .series1 i { color: var(--one); } .series2, .series2 i { color: var(--two); }
.series3, .series3 i { color: var(--three); }
.key.series1, .key.series2, .key.series3 { color: var(--faint); }
.bars { fill: var(--one); }
.equal { stroke: var(--ink); stroke-dasharray: 2 4; opacity: 0.5; }
.dead-line { stroke: var(--dead); stroke-width: 3; } .dead-text { fill: var(--dead); }
.features { stroke: var(--dots); stroke-width: 3; stroke-linecap: round; fill: none; }
.used { fill: var(--one); stroke: var(--paper); } .dead { stroke: var(--dead); stroke-width: 1.5; fill: none; }
.key .is-features { background: var(--dots); } .key .is-used { background: var(--one); } .key .is-dead { background: var(--dead); }
.pictures { display: grid; grid-template-columns: 6.5rem repeat(var(--count), 1fr); gap: 6px; align-items: center; margin-top: 6px; }
.pictures span { color: var(--faint); font-size: 0.8rem; }
.pictures img { width: 100%; image-rendering: pixelated; display: block; border-radius: 2px; }
.settings { columns: 22rem; column-gap: 2.5rem; margin-top: 0.8rem; }
.settings div { display: flex; justify-content: space-between; gap: 1.5rem; break-inside: avoid; padding: 0.2rem 0; border-bottom: 1px solid var(--line); }
.settings dt { color: var(--faint); font-size: 0.875rem; } .settings dd { text-align: right; overflow-wrap: anywhere; }
table { border-collapse: collapse; margin-top: 0.8rem; width: 100%; }
th { text-align: left; font-weight: 500; color: var(--faint); }
td, th { padding: 0.35rem 1.5rem 0.35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.value { font-variant-numeric: tabular-nums; white-space: nowrap; }
@media (max-width: 40rem) { .charts { grid-template-columns: 1fr; } .pictures { grid-template-columns: repeat(var(--count), 1fr); } .pictures span { grid-column: 1 / -1; } :is(.chart, .blobs) .tick { font-size: 17px; } }
`;

/** A section with a title and a line of text; empty if it has no content. */
export function section(title: string, about: HtmlValue, content: Html): Html {
  if (content.isEmpty) return content;
  return markup`<section><h2>${title}</h2><p class="faint">${about}</p>
${content}</section>`;
}

/** The whole page: one self-contained file that can only run its own script.
 * @param code additions to the style of every page
 */
export function page(
  title: string,
  content: readonly Html[],
  { style = "", script }: Partial<PageCode> = {},
): string {
  const code = { style: STYLE + style, script };
  const body = script === undefined ? content : [...content, codeBlock("script", script)];
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${contentPolicy(code)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>${title}</title>
${codeBlock("style", code.style)}
</head>
<body>
${joinHtml(body)}
</body>
</html>
`.toString();
}
