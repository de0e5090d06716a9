/** Line charts of a run's training records. */
import { type Html, joinHtml } from "./html.ts";
import type { RunRecord } from "../training/run_record.ts";
import { drawLineChart, type Series } from "./line_chart.ts";

/** Draws the losses, the errors, the codebook usage and, for an adversarial run, the losses of generator and
 * discriminator. Test numbers with different protocols get separate lines. */
export function drawCurves(records: readonly RunRecord[], codebookSize: number): Html {
  const steps = records.filter(({ kind }) => kind === "step");
  const epochs = records.filter(({ kind }) => kind === "epoch")
    .map((record) => ({ ...record, test: record.test ?? record.validation }));
  const train = (name: string, label: string): Series => ({
    name: label,
    points: pointsOf(steps, (record) => record[name]),
    colour: 1,
  });
  const codebook = (name: string, label: string, share = 1): Series => ({
    name: label,
    points: pointsOf(steps, (record) => entryOf(record.codebook, name), share),
    colour: 1,
  });
  const test = (name: string, share = 1): Series[] =>
    [...new Set(epochs.map((record) => entryOf(record.test, "protocol")))].map((protocol, at) => ({
      name: at === 0 ? "test" : `test, protocol ${protocol}`,
      points: pointsOf(
        epochs.filter((record) => entryOf(record.test, "protocol") === protocol),
        (record) => entryOf(record.test, name),
        share,
      ),
      colour: at === 0 ? 2 : 3,
    }));
  const isAdversarial = steps.some(({ discriminatorLoss }) => discriminatorLoss !== undefined);
  return joinHtml([
    drawLineChart({
      title: "Loss",
      logarithmic: true,
      series: [train("loss", "all"), { ...train("quantizerLoss", "quantiser"), colour: 3 }],
    }),
    drawLineChart({
      title: "Mean squared error",
      logarithmic: true,
      series: [train("mse", "training"), ...test("mse")],
    }),
    drawLineChart({
      title: "Codes in use (%)",
      series: [
        codebook("codesInUse", "this epoch", 100 / codebookSize),
        ...test("usage", 100),
        { ...codebook("deadCodes", "dead", 100 / codebookSize), colour: 3 },
      ],
    }),
    drawLineChart({
      title: "Perplexity",
      series: [codebook("perplexity", "this epoch"), ...test("perplexity")],
    }),
    ...isAdversarial
      ? [
        drawLineChart({
          title: "Generator and discriminator",
          series: [
            train("generatorLoss", "generator"),
            { ...train("discriminatorLoss", "discriminator"), colour: 2 },
          ],
        }),
        drawLineChart({
          title: "Logits",
          series: [train("logitsReal", "real"), { ...train("logitsFake", "fake"), colour: 2 }],
        }),
        drawLineChart({
          title: "Adaptive weight",
          series: [train("adaptiveWeight", "of the generator's loss")],
        }),
      ]
      : [],
  ]);
}

function pointsOf(
  records: readonly RunRecord[],
  valueOf: (record: RunRecord) => unknown,
  share = 1,
): Series["points"] {
  return records.flatMap((record) => {
    const value = valueOf(record);
    const shown = typeof value === "number" ? value * share : NaN;
    return Number.isFinite(shown) ? [[record.step, shown] as const] : [];
  });
}

/** An entry of a record inside a record. */
function entryOf(record: unknown, name: string): unknown {
  return typeof record === "object" && record !== null
    ? (record as Readonly<Record<string, unknown>>)[name]
    : undefined;
}
