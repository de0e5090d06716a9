/** Additional styles of a study's page. */
export const STUDY_STYLE = `
:root { --tone: 0.57; }
@media (prefers-color-scheme: dark) { :root { --tone: 0.72; } }
.coloured, .swatch { color: oklch(calc(var(--tone) + 0.1 * var(--lighter)) 0.15 var(--hue)); }
.swatch { display: inline-block; width: 0.65rem; height: 0.65rem; border-radius: 50%; background: currentColor; margin-right: 0.5rem; }
.wide { overflow-x: auto; }
th, td { white-space: nowrap; } .wide + table td { white-space: normal; }
td b { font-weight: 650; }
.blobs { max-width: 64rem; margin-top: 1.4rem; }
.keys { display: flex; flex-wrap: wrap; gap: 0.1rem 1.2rem; color: var(--faint); font-size: 0.8rem; }
.blob circle { fill-opacity: 0.55; stroke: currentColor; } .blob path { stroke: currentColor; fill: none; }
.joins { stroke: var(--dots); stroke-width: 1.2; stroke-dasharray: 4 3; }
.label path { stroke-dasharray: 2 3; fill: none; } .label text { fill: var(--ink); }
.dim:is(g, figure) { opacity: 0.12; } .line polyline { stroke-width: 1.4; }
.stroke1 { stroke-dasharray: 6 3; } .stroke2 { stroke-dasharray: 2 3; }
.chooser { margin: 1.2rem 0 1.6rem; }
.chooser div { display: flex; flex-wrap: wrap; gap: 0.25rem 1.3rem; align-items: center; font-size: 0.875rem; margin-top: 0.5rem; }
.chooser label { display: flex; align-items: center; }
.chooser label svg { width: 1.5rem; margin-right: 0.5rem; stroke: currentColor; stroke-width: 2; }
.chooser input { margin: 0 0.5rem 0 0; accent-color: var(--faint); }
.chooser button { font: inherit; color: var(--faint); background: none; border: 1px solid var(--line); border-radius: 4px; padding: 0 0.6rem; cursor: pointer; }
.chooser:not(.answers) :is(input, button) { display: none; }
.answers label { cursor: pointer; }
.histograms { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1.6rem 2rem; margin-top: 1rem; }
.histograms figcaption { flex-wrap: wrap; column-gap: 1rem; color: var(--ink); } .histograms .key { margin: 0; }
.histograms .bars { fill: currentColor; } .histograms .dead-line { stroke-width: 2; }
.pictures { grid-template-columns: 11rem repeat(var(--count), minmax(0, 1fr)); gap: 4px; margin-top: 4px; }
.pictures span { color: var(--ink); line-height: 1.2; }
.runs { columns: 20rem; }
@media (max-width: 60rem) {
  .pictures { grid-template-columns: repeat(8, 1fr); } .pictures span { grid-column: 1 / -1; } .pictures img:nth-of-type(n + 9) { display: none; }
}
@media (max-width: 40rem) {
  .blobs { overflow: hidden; } .blobs svg { width: var(--whole); } .labels { display: none; }
  .blobs .tick { font-size: 22px; } .blobs .tick[text-anchor="middle"] { translate: 0 8px; }
  .blobs figcaption { display: block; } .histograms { grid-template-columns: 1fr; } .histograms h3 { white-space: normal; }
}
`;
