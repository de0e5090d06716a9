/** The report of a generator: one self-contained page. */
import { sizeOf } from "../core/shape.ts";
import type { Images } from "../metrics/images.ts";
import { remarksOn } from "../objectives/protocol.ts";
import type { Config } from "../training/config.ts";
import type { GeneratorEvaluation } from "../training/generator_evaluation.ts";
import type { RunRecord } from "../training/run_record.ts";
import { type Html, joinHtml, markup } from "./html.ts";
import { drawLineChart, type Series } from "./line_chart.ts";
import { page, section } from "./page.ts";
import { drawPictureRow } from "./pictures.ts";
import { drawProtocols } from "./protocols.ts";
import { drawSettings, type RunDevices } from "./settings_table.ts";

/** The contents of a report. */
export interface GeneratorReportOptions {
  /** The name of the run. */
  readonly title: string;
  /** Its configuration. */
  readonly config: Config;
  /** The records of its training. */
  readonly records: readonly RunRecord[];
  /** Its evaluation. */
  readonly evaluation: GeneratorEvaluation;
  /** The names of the classes, for a class-conditional generator. */
  readonly classes: readonly string[];
  /** The devices that computed it. */
  readonly devices: RunDevices;
}

/** Draws the report as HTML: curves, samples, samples beside the nearest training images, and every number with its
 * protocol. */
export function drawGeneratorReport(
  { title, config, records, evaluation, classes, devices }: GeneratorReportOptions,
): string {
  const { test, measurements, protocols, samples, judged, nearest } = evaluation;
  const first = config.stage1 === null ? "" : `, over ${config.stage1}`;
  const about = `${config.data.name}, ${config.objective.type}${first}, seed ${config.seed}`;
  const headline = [
    ...test.shown,
    ...measurements.slice(0, 3).map(({ name, value, decimals }) =>
      [name, value.toFixed(decimals)] as const
    ),
  ];
  const rows = [
    ...test.shown.map(([name, value]) => [name, value, "", test.protocol] as const),
    ...measurements.map((one) => {
      const about = [`${one.better} is better`, ...remarksOn(one)].join("; ");
      return [one.name, one.value.toFixed(one.decimals), about, one.protocol] as const;
    }),
  ].map(([name, value, about, protocol]) =>
    markup`<tr><td>${name}</td><td class="value">${value}</td><td class="faint">${about}</td><td><code>${protocol}</code></td></tr>`
  );
  return page(title, [
    markup`<header><h1>${title}</h1><p class="faint">${about}</p><dl class="numbers">${
      headline.map(([name, value]) => markup`<div><dt>${name}</dt><dd>${value}</dd></div>`)
    }</dl></header>`,
    section("Training", "Over the steps of the run.", drawGeneratorCurves(records)),
    section(
      "Samples",
      "Uncurated: the first ones that were generated.",
      drawSamples(samples, classes),
    ),
    section(
      "Nearest training images",
      "The first samples, each above the training image with the nearest features, so that copies would show.",
      nearest === null ? markup`` : joinHtml([
        drawPictureRow("sample", judged.values, shapeOf(judged)),
        drawPictureRow("nearest", nearest.values, shapeOf(nearest)),
      ]),
    ),
    section(
      "Numbers",
      "Compare numbers only if their protocols are the same.",
      markup`<table><thead><tr><th>number</th><th>value</th><th></th><th>protocol</th></tr></thead>
<tbody>${joinHtml(rows)}</tbody></table>
${drawProtocols({ ...test.protocols, ...protocols })}`,
    ),
    section("Settings", "The devices and all settings of the run.", drawSettings(config, devices)),
  ]);
}

function shapeOf(
  { shape: [, height, width, channels] }: Images,
): readonly [number, number, number] {
  return [height, width, channels];
}

/** Rows of samples: one per class if there are classes, otherwise rows of eight. */
function drawSamples(samples: Images, classes: readonly string[]): Html {
  const shape = shapeOf(samples), size = sizeOf(shape), count = samples.shape[0];
  const image = (index: number) => samples.values.subarray(index * size, (index + 1) * size);
  const row = (name: string, indices: readonly number[]) =>
    drawPictureRow(name, Float32Array.from(indices.flatMap((index) => [...image(index)])), shape);
  const all = Array.from({ length: count }, (_, index) => index);
  if (classes.length > 0 && count > classes.length) {
    return joinHtml(
      classes.map((name, label) =>
        row(name, all.filter((index) => index % classes.length === label))
      ),
    );
  }
  const rows = Array.from(
    { length: Math.ceil(count / 8) },
    (_, at) => all.slice(8 * at, 8 * at + 8),
  );
  return joinHtml(rows.map((indices) => row("", indices)));
}

/** The loss, and the objective's own numbers on the test images. */
function drawGeneratorCurves(recorded: readonly RunRecord[]): Html {
  const records = recorded.map((record): RunRecord => ({
    ...record,
    test: record.test ?? record.validation,
  }));
  const line = (kind: string, valueOf: (record: RunRecord) => unknown): Series["points"] =>
    records.filter((record) => record.kind === kind).flatMap((record) => {
      const value = valueOf(record);
      return typeof value === "number" && Number.isFinite(value)
        ? [[record.step, value] as const]
        : [];
    });
  const names = new Set(
    records.filter(({ kind }) => kind === "epoch").flatMap(({ test }) =>
      Object.entries(test as Readonly<Record<string, unknown>>)
        .filter(([name, value]) => typeof value === "number" && name !== "images")
        .map(([name]) => name)
    ),
  );
  const charts = [
    drawLineChart({
      title: "Loss",
      series: [{ name: "training", points: line("step", ({ loss }) => loss), colour: 1 }],
    }),
    ...[...names].map((name) =>
      drawLineChart({
        title: name,
        series: [{
          name: "test",
          points: line("epoch", ({ test }) => (test as Readonly<Record<string, unknown>>)[name]),
          colour: 2,
        }],
      })
    ),
  ];
  return markup`<div class="charts">${joinHtml(charts)}</div>`;
}
