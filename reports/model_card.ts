/** The model card of a run: Markdown below the YAML metadata that model hubs read. */
import { fromJsonNumber } from "../files/json_number.ts";
import { printable } from "../training/printable.ts";
import type { Config } from "../training/config.ts";
import type { EvaluatedNumber, RunSummary } from "../training/run_files.ts";

/** The contents of a card. */
export interface ModelCardOptions {
  /** The name of the model. */
  readonly name: string;
  /** Its configuration. */
  readonly config: Config;
  /** The number of image channels, and the downsampling factor: the side in pixels of one position of the code grid. */
  readonly model: { readonly channels: number; readonly downsampling: number };
  /** Identifies its weights; see `OpenedRun`. */
  readonly identity: string;
  /** The measurements at the end of its training; undefined for a run that is not finished. */
  readonly summary?: RunSummary;
  /** The measurements of `evaluate`. */
  readonly evaluated: readonly EvaluatedNumber[];
  /** The file name of the picture of samples beside the card, if there is one. */
  readonly picture: string | null;
  /** The SPDX identifier of the weights' licence, if given. */
  readonly license: string | null;
}

/** A number of the card. */
interface CardNumber {
  readonly type: string;
  readonly name: string;
  readonly value: number;
  readonly protocol: string;
}

/** Writes the card: metadata, a description of the model, how to use it, its measurements with their protocols, and its
 * settings. The same run gives the same bytes. */
export function drawModelCard(options: ModelCardOptions): string {
  const { config, model, identity, summary, picture } = options;
  const { data, quantizer, objective } = config;
  const numbers = numbersOf(options), name = showText(options.name);
  const images = model.channels === 1 ? "grey images" : `images of ${model.channels} channels`;
  return [
    drawMetadata(options, numbers),
    `# ${name}`,
    `A ${config.model.type} that compresses ${images} into codes with the quantiser \`${quantizer?.type}\`, and reconstructs them. ` +
    `${model.downsampling}×${model.downsampling} pixels correspond to one position of the grid of codes. It was trained on \`${
      showText(data.name)
    }\` with the objective \`${objective.type}\`${
      summary === undefined ? "" : `, for ${summary.steps} steps`
    }. Its weights are \`${identity}\`.`,
    picture === null ? "" : `![Test images above their reconstructions](${picture})`,
    USE,
    numbers.length === 0 ? "" : `## Numbers\n\n${drawNumbers(options, numbers)}`,
    `## Settings\n\n\`\`\`json\n${JSON.stringify(settingsOf(config), null, 2)}\n\`\`\``,
  ].filter((part) => part !== "").join("\n\n") + "\n";
}

const USE = `## How to use it

\`\`\`ts
import { openDevice, openRun } from "jsr:@codebook/codebook";

using device = await openDevice();
using run = await openRun("this-folder", device);
const { indices } = run.model.encode(images); // float32 [B, H, W, C] in [−1, 1] to int32 [B, h, w]
const rebuilt = run.model.decode(indices);
\`\`\``;

function numbersOf({ summary, evaluated }: ModelCardOptions): readonly CardNumber[] {
  const own = summary === undefined ? [] : testNumbers(summary.test);
  return [
    ...own,
    ...evaluated.map(({ name, value, protocol }) => ({ type: name, name, value, protocol })),
  ];
}

function testNumbers({ mse, psnr, usage, perplexity, protocol }: RunSummary["test"]): CardNumber[] {
  const decibels = psnr === null ? Infinity : fromJsonNumber(psnr);
  const numbers: readonly (readonly [type: string, name: string, value: number])[] = [
    ["mse", "mse, unclipped", mse],
    ["psnr", "PSNR (dB), unclipped", decibels],
    ["codebook_usage", "fraction of codes in use", usage],
    ["perplexity", "perplexity of the codes", perplexity],
  ];
  return numbers.map(([type, name, value]) => ({ type, name, value, protocol }));
}

/** Writes the metadata. JSON is valid YAML, so every value is quoted as in JSON. */
function drawMetadata(
  { name, config: { data, model, quantizer }, summary, license }: ModelCardOptions,
  numbers: readonly CardNumber[],
): string {
  const quote = (value: unknown) => JSON.stringify(value);
  const finite = numbers.filter(({ value }) => Number.isFinite(value));
  const split = summary?.protocols[summary.test.protocol].split ?? "test";
  return [
    "---",
    "library_name: codebook",
    ...license === null ? [] : [`license: ${quote(license)}`],
    "pipeline_tag: image-feature-extraction",
    `tags: ${quote(["vector-quantization", "image-tokenizer", model.type, quantizer?.type])}`,
    ...finite.length === 0 ? [] : [
      "model-index:",
      `- name: ${quote(name)}`,
      "  results:",
      `  - task: {type: image-reconstruction, name: "Reconstruction of images"}`,
      `    dataset: {type: ${quote(data.name)}, name: ${quote(data.name)}, split: ${quote(split)}}`,
      "    metrics:",
      ...finite.map(({ type, name, value, protocol }) =>
        `    - {type: ${quote(type)}, name: ${
          quote(`${name}, protocol ${protocol}`)
        }, value: ${value}}`
      ),
    ],
    "---",
  ].join("\n");
}

function drawNumbers(
  { summary }: ModelCardOptions,
  numbers: readonly CardNumber[],
): string {
  const rows = numbers.map(({ name, value, protocol }) =>
    `| ${showText(name)} | ${Number(value.toPrecision(5))} | \`${showText(protocol)}\` |`
  );
  const protocol = summary?.protocols[summary.test.protocol];
  const about = protocol === undefined
    ? ""
    : `\n\nThe test numbers are of ${protocol.images} images of ${
      showText(protocol.dataset)
    }, ${protocol.split}.`;
  return `Compare numbers only if their protocols are the same.${about}

| number | value | protocol |
| ------ | ----- | -------- |
${rows.join("\n")}`;
}

/** The settings that determine the run, without its folder and its device. */
function settingsOf({ out: _, device: __, cpu: ___, ...settings }: Config): object {
  return settings;
}

/** Text in a line or a cell of Markdown. */
function showText(text: string): string {
  return printable(text.replace(/\s+/g, " ")).replace(/[\\|<`]/g, "\\$&");
}
