/** Pages of studies and of runs whose every text wants to be a script. */
import assert from "node:assert/strict";
import { drawReport } from "../../reports/run_report.ts";
import { resolveConfig } from "../../training/resolve.ts";
import type { RunEvaluation } from "../../training/run_evaluation.ts";
import { drawStudy } from "../../studies/page.ts";
import type { StudyRun } from "../../studies/records.ts";
import type { RunTrace } from "../../studies/traces.ts";
import { browse, findBrowser } from "../browser.ts";

const PAYLOADS = [
  '"><img src=q onerror="ran.push(1)">',
  "'><svg onload=ran.push(2)>",
  "</title></script></style><script>ran.push(3)</script>",
  "<!--<script>",
  "`${ran.push(4)}`",
  "\u2028</script><script>ran.push(5)</script>",
];
const hostile = PAYLOADS.join(" ");

/** What stands where a number should, in files that somebody else wrote. */
const wrong = hostile as unknown as number;

const measured = {
  usage: 0.5,
  perplexity: 2,
  mse: 0.25,
  psnr: 12,
  sharpness: null,
  secondsPerStep: 0.1,
};

function run(index: number): StudyRun {
  return {
    point: { [hostile]: PAYLOADS[index], other: hostile },
    ...{ seed: wrong, hash: hostile, folder: hostile, state: "finished", failure: null },
    ...{ steps: 9, device: hostile, protocol: hostile },
    measured: { ...measured, mse: measured.mse + index },
  };
}

const RUNS: readonly StudyRun[] = [
  ...PAYLOADS.map((_, index) => run(index)),
  { ...run(0), state: "failed", failure: hostile, measured: null },
  { ...run(0), state: "damaged", failure: hostile, measured: null },
  { ...run(0), state: "waiting", failure: null, measured: null },
];

const TRACE: RunTrace = {
  records: [1, 2].map((step) => ({ kind: "step", step, loss: 1 / step })),
  samples: {
    originals: new Float32Array(16),
    reconstructions: new Float32Array(16),
    imageShape: [4, 4, 1],
  },
  counts: [1, 2],
  protocol: {
    ...{ dataset: hostile, split: "test", images: 1, imageShape: [4, 4, 1], valueRange: [-1, 1] },
    metrics: { mse: hostile, psnr: hostile, usage: hostile, perplexity: hostile },
  },
  damage: [hostile],
};

const STUDY = drawStudy({ name: hostile, about: hostile, axes: [] }, RUNS, () => TRACE);

const EVALUATION: RunEvaluation = {
  numbers: {
    ...{ images: 1, equalImages: 0, mse: 0.25, psnr: 12, psnrOfMse: 12 },
    ...{ usage: 0.5, perplexity: 2, protocol: hostile },
  },
  unmeasured: [{ metric: hostile, reason: hostile }],
  measurements: [
    {
      ...{ metric: hostile, name: hostile, value: 1, better: hostile as "lower", decimals: 2 },
      ...{ caution: hostile, equalPairs: 1, protocol: hostile },
    },
  ],
  protocols: {
    [hostile]: {
      ...TRACE.protocol,
      precision: "float32",
      metrics: {
        ...{ mse: hostile, psnr: hostile, psnrOfMse: hostile },
        ...{ usage: hostile, perplexity: hostile },
      },
    },
  },
  codebook: {
    ...{ codes: 2, usage: 1, perplexity: 2, entropyBits: 1, dead: [], histogram: [2, 1] },
    ...{ norms: { used: null, dead: null }, deadSteps: null },
  },
  samples: TRACE.samples!,
  space: null,
};

const REPORT = drawReport({
  title: hostile,
  config: resolveConfig(),
  records: [1, 2].flatMap((step) => [
    { kind: "step", step, loss: 1 / step },
    { kind: "epoch", step, test: { protocol: `${hostile}${step}`, mse: 1 } },
  ]),
  evaluation: EVALUATION,
  devices: { trained: hostile, measured: hostile },
});

const PAGES = { "study.html": STUDY, "report.html": REPORT };

/** Watches from before the page's policy, and tells in the title what ran and what the policy stopped. */
const PROBE = `<script>
const ran = [], stopped = [], errors = [];
addEventListener("error", ({ message }) => message && errors.push(message), true);
addEventListener("securitypolicyviolation", (event) => stopped.push(event.effectiveDirective), true);
addEventListener("load", () => setTimeout(() => {
  const count = (selector) => document.querySelectorAll(selector).length;
  const attributes = [...document.querySelectorAll("*")].flatMap((one) => one.getAttributeNames());
  for (const box of document.querySelectorAll("[name=row]")) box.click();
  for (const box of [...document.querySelectorAll("[name=row]")].slice(0, 3)) box.click();
  const lines = document.querySelector(".chart").querySelectorAll(".line").length;
  document.title = JSON.stringify({
    ran, errors, lines, stopped: stopped.sort(),
    scripts: count("script:not([type])"), data: count("script[type]"),
    handlers: attributes.filter((name) => name.startsWith("on")),
    pictures: [...document.images].filter((one) => !one.src.startsWith("data:")).length,
  });
}));
</script>`;

const browser = await findBrowser();

/** What the probe saw of a page. */
async function probe(name: string, text: string): Promise<Record<string, unknown>> {
  const path = await Deno.makeTempFile({ suffix: ".html" });
  try {
    await Deno.writeTextFile(path, text.replace("<head>", () => `<head>${PROBE}`));
    const { stdout } = await browse(name, `file://${path}`, [
      "--dump-dom",
      "--virtual-time-budget=5000",
    ]);
    const title = stdout.match(/<title>(.*?)<\/title>/)?.[1] ?? "";
    return JSON.parse(title.replaceAll("&quot;", '"').replaceAll("&lt;", "<"));
  } finally {
    await Deno.remove(path);
  }
}

for (const [name, text] of Object.entries(PAGES)) {
  Deno.test(`${name} contains no event handlers, and only its own scripts`, () => {
    const scripts = text.match(/<script/gi)?.length ?? 0;
    assert.equal(scripts, name === "study.html" ? 2 : 0, "its data and its code");
    for (const [tag] of text.matchAll(/<[a-z][^<>]*>/gi)) {
      assert.doesNotMatch(tag.replaceAll(/"[^"]*"/g, '""'), /\son/i, tag);
    }
    assert.match(text, /<meta http-equiv="Content-Security-Policy"/);
  });

  if (browser !== undefined) {
    Deno.test(`in a browser, ${name} of a hostile plan runs none of its code, and works`, async () => {
      assert.deepEqual(await probe(browser, text), {
        ...{ ran: [], errors: [], stopped: [], handlers: [], pictures: 0 },
        ...name === "study.html"
          ? { lines: 3, scripts: 2, data: 1 } // The probe's and the page's.
          : { lines: 0, scripts: 1, data: 0 },
      });
    });

    Deno.test(`in a browser, the policy of ${name} blocks injected content`, async () => {
      const injected =
        `<body><img src="data:," onerror="ran.push(1)"><script>ran.push(2)</script>` +
        `<link rel="stylesheet" href="data:text/css,"><style>p{}</style>` +
        `<svg onload="ran.push(3)"></svg><iframe src="data:text/html,"></iframe>`;
      const seen = await probe(browser, text.replace("<body>", injected));
      assert.deepEqual(seen.ran, []);
      assert.deepEqual(seen.stopped, [
        ...["frame-src", "script-src-attr", "script-src-attr", "script-src-elem"],
        ...["style-src-elem", "style-src-elem"],
      ]);
      assert.equal(seen.lines, name === "study.html" ? 3 : 0, "the page's own script runs");
    });
  }
}
