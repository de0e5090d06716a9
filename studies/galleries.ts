/** Shows reconstructions of the same images and code histograms of a study's combinations, side by side. */
import { sizeOf } from "../core/shape.ts";
import { codebookUse } from "../metrics/codebook.ts";
import { drawHistogram } from "../reports/histogram.ts";
import { type Html, joinHtml, markup } from "../reports/html.ts";
import { drawPictureRow } from "../reports/pictures.ts";
import type { Samples } from "../objectives/sample_grid.ts";
import { rowColours, swatch } from "./colours.ts";
import type { StudyRow } from "./rows.ts";
import type { RunTrace } from "./traces.ts";

/** The largest number of values in all pictures of a page together, which keeps it at a few megabytes. */
const MOST_VALUES = 4_000_000;

/** Draws test images, and below them the reconstructions by the first run of every combination. Empty if no run has
 * samples. */
export function drawReconstructions(
  rows: readonly StudyRow[],
  traceOf: (row: StudyRow) => RunTrace,
): Html {
  const styles = rowColours(rows);
  const shown = rows.flatMap((row, index) => {
    const { samples } = traceOf(row);
    return samples === null ? [] : [{ row, style: styles[index], samples }];
  });
  if (shown.length === 0) return markup``;
  const [{ samples: { imageShape, originals } }] = shown;
  const size = sizeOf(imageShape), count = originals.length / size;
  const room = Math.floor(MOST_VALUES / (size * (shown.length + 1)));
  const chosen = Math.max(1, Math.min(count, room));
  const some = (values: Samples["originals"]) => spread(values, size, chosen);
  return joinHtml([
    drawPictureRow("original", some(originals), imageShape),
    ...shown.map(({ row: { label, name }, style, samples: { reconstructions } }) =>
      drawPictureRow(name, some(reconstructions), imageShape, [swatch(style), label])
    ),
  ]);
}

/** Selects `count` images, spread evenly. */
function spread(values: Float32Array, size: number, count: number): Float32Array {
  const all = values.length / size, chosen = new Float32Array(count * size);
  for (let image = 0; image < count; image++) {
    const from = Math.floor(image * all / count) * size;
    chosen.set(values.subarray(from, from + size), image * size);
  }
  return chosen;
}

/** Draws how often the first run of every combination chose each of its codes. Empty if no run recorded it. */
export function drawHistograms(
  rows: readonly StudyRow[],
  traceOf: (row: StudyRow) => RunTrace,
): Html {
  const styles = rowColours(rows);
  const figures = rows.flatMap((row, index) => {
    const { counts } = traceOf(row);
    if (counts === null) return [];
    const { usage, perplexity } = codebookUse(counts);
    const histogram = counts.toSorted((a, b) => b - a);
    return [
      markup`<figure class="coloured" data-row="${index}" style="${
        styles[index]
      }"><figcaption><h3>${swatch(styles[index])}${row.label}</h3><span class="key"><b>${
        (100 * usage).toFixed(
          1,
        )
      }</b> %, perplexity <b>${perplexity.toFixed(1)}</b></span></figcaption>${
        drawHistogram({ histogram }, [360, 140])
      }</figure>`,
    ];
  });
  return figures.length === 0
    ? markup``
    : markup`<div class="histograms">${joinHtml(figures)}</div>`;
}
