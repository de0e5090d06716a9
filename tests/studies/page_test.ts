import assert from "node:assert/strict";
import { drawStudy } from "../../studies/page.ts";
import type { StudyRun } from "../../studies/records.ts";
import type { Study } from "../../studies/study.ts";
import type { RunTrace } from "../../studies/traces.ts";
import { browse, findBrowser } from "../browser.ts";

const study: Study = {
  name: "sizes",
  about: "Is K > 8 better?",
  axes: [
    { path: "quantizer.codebookSize", values: [8, 32, 128] },
    { name: "method", values: { plain: {}, other: {} } },
  ],
};

const finished = (size: number, method: string, seed: number, mse: number): StudyRun => ({
  ...{ point: { "quantizer.codebookSize": size, method }, seed, hash: "", folder: "" },
  ...{ state: "finished", failure: null, steps: 9, device: "cpu", protocol: "aa" },
  measured: { usage: 1 - mse, perplexity: 2, mse, psnr: 12, sharpness: null, secondsPerStep: 0.1 },
});

const failed: StudyRun = {
  ...finished(128, "other", 2, 0),
  ...{ state: "failed", failure: "<it> broke", protocol: null, measured: null },
};

const runs = [
  ...[[8, 0.8], [32, 0.5], [128, 0.2]].flatMap(([size, mse]) => [
    ...[1, 2].map((seed) => finished(size, "plain", seed, mse + seed / 100)),
    finished(size, "other", 1, mse + 0.1),
  ]),
  failed,
];

/** Eight grey images that a run makes darker, two codes of three that it uses, and a loss of its size. */
function traceOf({ point, seed }: StudyRun): RunTrace {
  const size = Number(point["quantizer.codebookSize"]);
  const grey = (shade: number) => new Float32Array(8 * 16).fill(shade);
  const records = [1, 2, 3].flatMap((step) => {
    const scalars = { loss: size / step, quantizerLoss: point.method === "plain" ? seed : 0 };
    const test = { mse: 1 / step, psnr: step, usage: 0.5, perplexity: step };
    return [{ kind: "step", step, ...scalars }, { kind: "epoch", step, test }];
  });
  return {
    records,
    samples: {
      originals: grey(1),
      reconstructions: grey(1 - size / 200),
      imageShape: [4, 4, 1],
    },
    counts: [1, 0, size],
    protocol: {
      ...{ dataset: "grey", split: "test", images: 8, imageShape: [4, 4, 1], valueRange: [-1, 1] },
      metrics: { mse: "m", psnr: "p", usage: "u", perplexity: "p" },
    },
    damage: [],
  };
}

const text = drawStudy(study, runs, traceOf);

Deno.test("generators are plotted against the usage and the error of their first stage", () => {
  const judged = runs.filter(({ measured }) => measured !== null).map((run) => ({
    ...run,
    measured: { fid: 10 / run.seed, stage1Usage: run.measured!.usage, stage1Mse: 0.1 * run.seed },
  }));
  const page = drawStudy(study, judged, traceOf);
  const below = [...page.matchAll(/text-anchor="middle">([^<]*first stage[^<]*)</g)];
  const usage = "usage of the first stage, % of its codes", error = "test mse of the first stage";
  assert.deepEqual(below.map(([, words]) => words), [usage, usage, error, error]);
  assert.match(page, /FID of the samples, lower is better/);
});

Deno.test("each axis has a plot: x is usage, y is error with less at the bottom, and size is the axis value", () => {
  const plots = text.split('<figure class="blobs"').slice(1);
  assert.equal(plots.length, 2);
  const [bySize, byMethod] = plots.map((plot) => {
    const circles = /data-row="(\d)" style="([^"]*)".*?<circle cx="(\S+)" cy="(\S+)" r="(\S+)"/g;
    const found = [...plot.split("</figure>")[0].matchAll(circles)];
    assert.equal(found.length, 6);
    return new Map(
      found.map(([, row, style, ...numbers]) =>
        [Number(row), { style, place: numbers.map(Number) }] as const
      ),
    );
  });
  const [small, middle, large] = [0, 2, 4].map((row) => bySize.get(row)!.place);
  for (const at of [0, 2]) assert.ok(small[at] < middle[at] && middle[at] < large[at]);
  assert.ok(small[1] < middle[1] && middle[1] < large[1], "down is better");
  assert.ok(Math.abs(middle[2] - (small[2] + large[2]) / 2) < 0.06, "32 is halfway from 8 to 128");
  assert.equal(new Set([...byMethod.values()].map(({ place: [, , radius] }) => radius)).size, 1);
  for (const plot of [bySize, byMethod]) {
    assert.equal(plot.get(0)!.style, plot.get(4)!.style, "a colour a method");
    assert.notEqual(plot.get(0)!.style, plot.get(1)!.style);
  }
  const joins = plots.map((plot) => plot.match(/<polyline class="joins"/g)?.length ?? 0);
  assert.deepEqual(joins, [2, 0], "sizes have an order, methods have none");
});

Deno.test("the page names failed runs, describes the measurement, and loads nothing", () => {
  assert.match(text, /<dd>9 of 10<\/dd>/);
  assert.match(text, /method other, seed 2: <code>&lt;it&gt; broke<\/code>/);
  assert.match(text, /Is K &gt; 8 better\?/);
  assert.match(text, /<code>aa<\/code><\/td><td>dataset: grey; split: test/);
  assert.doesNotMatch(text, /(src|href)="(?!data:)|url\(|import/);
  assert.equal(text, drawStudy(study, runs, traceOf));
});

Deno.test("the best value of a column is bold if its differences are clear over the seeds", () => {
  assert.doesNotMatch(text, /<b>[\d.]+ ±/, "the others have one seed");
  const pairs = runs.filter(({ point, state }) => point.method === "plain" && state === "finished");
  const clear = drawStudy(study, pairs, traceOf);
  assert.match(clear, /<td class="value"><b>0\.21500 ± 0\.00707<\/b><\/td>/);
  assert.match(clear, /<td class="value">\+0\.60000 ± 0\.00000 \*<\/td>/);
});

Deno.test("runs without samples or counts, and with different protocols, are shown with what is available", () => {
  const [one, two] = runs;
  const mixed = drawStudy(study, [one, { ...two, protocol: "bb" }], (run) => ({
    ...traceOf(run),
    ...{ samples: null, counts: null },
  }));
  assert.equal(mixed.match(/<article>/g)?.length, 2);
  assert.doesNotMatch(mixed, /Reconstructions|<h2>Codes/);
});

const browser = await findBrowser();

/** Uses the page once it is laid out, and tells in its title what it saw. */
const PROBE = `<script>
const errors = [];
addEventListener("error", (event) => errors.push(String(event.message)), true);
addEventListener("load", () => {
  const count = (selector) => document.querySelectorAll(selector).length;
  const lines = () => [...document.querySelectorAll(".chart")].map((chart) => chart.querySelectorAll(".line").length);
  const top = () => [...document.querySelectorAll(".chart:first-child text[text-anchor=end]")].at(-1).textContent;
  const box = (name, value) => document.querySelector(\`[name=\${name}][value="\${value}"]\`);
  const steps = {};
  const note = (name) => steps[name] = [lines().join(" "), top()];
  note("all");
  for (const row of [2, 3, 4, 5]) box("row", row).click();
  note("two rows");
  box("seed", 2).click();
  note("one seed");
  document.querySelector("button[value='']").click();
  note("none");
  document.querySelector("button[value=all]").click();
  note("all of a seed");
  document.querySelector(".blob").dispatchEvent(new Event("pointerover", { bubbles: true }));
  const dim = count(".line.dim") + " of " + count(".line");
  document.querySelector("article").dispatchEvent(new Event("pointerleave"));
  document.title = JSON.stringify({
    errors, steps, dim, dimAfterwards: count(".dim"),
    pictures: [...document.images].filter((image) => image.naturalWidth === 4 && image.width > 8).length,
    histograms: count(".histograms figure"),
    width: innerWidth,
    overflows: document.documentElement.scrollWidth > innerWidth,
    collisions: [...document.querySelectorAll("svg")].flatMap((svg) => {
      const texts = [...svg.querySelectorAll("text")].map((text) => [text, text.getBoundingClientRect()])
        .filter(([, { width }]) => width > 0);
      return texts.flatMap(([one, a], at) => texts.slice(at + 1).filter(([, b]) =>
        a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom
      ).map(([other]) => one.textContent + " on " + other.textContent));
    }),
    asked: performance.getEntriesByType("resource").filter(({ name }) => !name.startsWith("data:")).length,
  });
});
</script>`;

/** What the probe saw, in a frame so wide: a window is at least 500 pixels wide. */
async function probe(name: string, width: number): Promise<Record<string, unknown>> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/page.html`, text.replace("<head>", `<head>${PROBE}`));
    await Deno.writeTextFile(
      `${folder}/frame.html`,
      `<iframe src="page.html" style="width: ${width}px; height: 2000px; border: 0"
        onload="document.title = this.contentDocument.title"></iframe>`,
    );
    const flags = ["--dump-dom", "--allow-file-access-from-files", "--window-size=1400,2000"];
    const { stdout, stderr } = await browse(name, `file://${folder}/frame.html`, flags);
    assert.doesNotMatch(stderr, /CONSOLE/);
    const title = stdout.match(/<title>(.*?)<\/title>/)?.[1] ?? "";
    return JSON.parse(title.replaceAll("&quot;", '"'));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (browser !== undefined) {
  Deno.test("in a browser, choosing runs changes the charts and their ranges, without errors or requests", async () => {
    for (const width of [1280, 420]) {
      assert.deepEqual(await probe(browser, width), {
        errors: [],
        steps: {
          // Of nine runs, the quantiser losses of three are 0 and have no place on a logarithmic scale.
          "all": ["9 6 9 9 9 9", "300"],
          "two rows": ["3 2 3 3 3 3", "10"],
          "one seed": ["2 1 2 2 2 2", "10"],
          "none": ["0 0 0 0 0 0", "1"],
          "all of a seed": ["6 3 6 6 6 6", "300"],
        },
        dim: "27 of 33",
        dimAfterwards: 0,
        pictures: 7 * 8,
        histograms: 6,
        width,
        overflows: false,
        collisions: [],
        asked: 0,
      });
    }
  });
}
