/** The report of a run: one self-contained page. */
import { fromJsonNumber } from "../files/json_number.ts";
import type { Config } from "../training/config.ts";
import { remarksOn } from "../objectives/protocol.ts";
import type { RunRecord } from "../training/run_record.ts";
import { drawCurves } from "./curves.ts";
import { drawHistogram } from "./histogram.ts";
import { type Html, joinHtml, markup } from "./html.ts";
import { page, section } from "./page.ts";
import { drawPictures } from "./pictures.ts";
import { drawProjection } from "./projection.ts";
import { drawProtocols } from "./protocols.ts";
import { drawSettings, type RunDevices } from "./settings_table.ts";
import type { RunEvaluation } from "../training/run_evaluation.ts";

/** The contents of a report. */
export interface ReportOptions {
  /** The name of the run. */
  readonly title: string;
  /** Its configuration. */
  readonly config: Config;
  /** The records of its training. */
  readonly records: readonly RunRecord[];
  /** Its evaluation. */
  readonly evaluation: RunEvaluation;
  /** The devices that computed it. */
  readonly devices: RunDevices;
}

/** Draws the report as HTML: curves, pictures, the histogram of the codebook, a plot of codes and features, every number
 * with its measurement protocol, and the settings. The same run gives the same bytes. */
export function drawReport(
  { title, config, records, evaluation, devices }: ReportOptions,
): string {
  const { numbers, codebook, samples, space } = evaluation;
  const { data, quantizer } = config;
  const about = `${data.name}, ${quantizer?.type}, ${codebook.codes} codes, seed ${config.seed}`;
  const headline: readonly (readonly [string, string])[] = [
    ["codes in use", `${(100 * numbers.usage).toFixed(1)} %`],
    ["perplexity", numbers.perplexity.toFixed(1)],
    ["bits per index", codebook.entropyBits.toFixed(2)],
    ["PSNR, unclipped", `${fromJsonNumber(numbers.psnr).toFixed(2)} dB`],
    ["mse, unclipped", numbers.mse.toPrecision(3)],
  ];
  const dead = codebook.dead.length;
  return page(title, [
    markup`<header><h1>${title}</h1><p class="faint">${about}</p><dl class="numbers">${
      headline.map(([name, value]) => markup`<div><dt>${name}</dt><dd>${value}</dd></div>`)
    }</dl></header>`,
    section(
      "Training",
      "Over the steps of the run.",
      wrapped("charts", drawCurves(records, codebook.codes)),
    ),
    section(
      "Images",
      "Taken at even intervals from the measured images. In the difference images, middle grey means no difference, and the contrast is doubled.",
      drawPictures(samples),
    ),
    section(
      "Codebook",
      `How often each code was chosen, in descending order. The dotted line marks equal use of all codes.`,
      drawHistogram(codebook),
    ),
    section(
      "Codes among features",
      markup`Projected together by UMAP.
<span class="key"><i class="disc is-features"></i>features</span>
<span class="key"><i class="disc is-used"></i>codes in use <b>${codebook.codes - dead}</b></span>
<span class="key"><i class="disc is-dead"></i>dead codes <b>${dead}</b></span>`,
      space === null ? markup`` : drawProjection(space),
    ),
    section(
      "Numbers",
      "Compare numbers only if their protocols are the same.",
      drawNumbers(evaluation),
    ),
    section("Settings", "The devices and all settings of the run.", drawSettings(config, devices)),
  ]);
}

function wrapped(name: string, content: Html): Html {
  return content.isEmpty ? content : markup`<div class="${name}">${content}</div>`;
}

/** Every number with its protocol, and the contents of the protocols. */
function drawNumbers({ numbers, measurements, unmeasured, protocols }: RunEvaluation): Html {
  const { equalImages, psnr, psnrOfMse } = numbers;
  const own: readonly (readonly [string, string, string])[] = [
    ["mse, unclipped", numbers.mse.toPrecision(5), "lower is better"],
    [
      "PSNR (dB), unclipped",
      fromJsonNumber(psnr).toFixed(2),
      ["higher is better", ...remarksOn({ caution: null, equalPairs: equalImages })].join("; "),
    ],
    [
      "PSNR of the mean mse (dB), unclipped",
      fromJsonNumber(psnrOfMse).toFixed(2),
      "higher is better",
    ],
    ["usage", numbers.usage.toFixed(4), "higher is better"],
    ["perplexity", numbers.perplexity.toFixed(2), "higher is better"],
  ];
  const rows = [
    ...own.map((row) => [...row, numbers.protocol] as const),
    ...measurements.map((one) => {
      const about = [`${one.better} is better`, ...remarksOn(one)].join("; ");
      return [one.name, one.value.toFixed(one.decimals), about, one.protocol] as const;
    }),
  ];
  const body = [
    ...rows.map(([name, value, about, protocol]) =>
      markup`<tr><td>${name}</td><td class="value">${value}</td><td class="faint">${about}</td><td><code>${protocol}</code></td></tr>`
    ),
    ...unmeasured.map(({ metric, reason }) =>
      markup`<tr><td>${metric}</td><td class="value">–</td><td class="faint">not measured: ${reason}</td><td></td></tr>`
    ),
  ];
  return markup`<table><thead><tr><th>number</th><th>value</th><th></th><th>protocol</th></tr></thead>
<tbody>${joinHtml(body)}</tbody></table>
${drawProtocols(protocols)}`;
}
